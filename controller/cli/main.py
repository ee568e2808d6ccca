"""`runner-controller`: the group of commands, and what becomes of errors."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click

from controller.cli.app import INTERRUPTED, App
from runner.errors import RunnerError, Unavailable
from runner.wording import printable

COMMANDS = {
    "submit": "controller.cli.submit",
    "status": "controller.cli.status",
    "jobs": "controller.cli.jobs",
    "tasks": "controller.cli.tasks",
    "watch": "controller.cli.watch",
    "explain": "controller.cli.explain",
    "logs": "controller.cli.logs",
    "cancel": "controller.cli.cancel",
    "retry": "controller.cli.retry",
    "reproduce": "controller.cli.reproduce",
    "serve": "controller.cli.serve",
    "fleet": "controller.cli.fleet",
    "simulate": "controller.cli.simulate",
    "dead-letters": "controller.cli.dead_letters",
    "init": "controller.cli.init",
    "deploy": "controller.cli.deploy",
    "doctor": "controller.cli.doctor",
    "destroy": "controller.cli.destroy",
}


class Failure(click.ClickException):
    """A RunnerError on its way out: each line of it on stderr, and its exit status."""

    def __init__(self, error: RunnerError) -> None:
        super().__init__(str(error))
        self._error = error

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click has it on the class, and reads it from the instance
        return self._error.exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        for text in self.message.splitlines() or [""]:
            click.echo(f"runner-controller: {printable(text)}", err=file is None, file=file)


class Commands(click.Group):
    """Imports a command's module only when it is called for: each start pays for one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # as click has it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        return guarded(lambda: super(Commands, self).invoke(ctx))


def guarded(work: Callable[[], object]) -> object:
    """`work`, its expected ways of failing turned into exit statuses."""
    try:
        result = work()
        sys.stdout.flush()  # here, where a closed pipe can still be forgiven
    except RunnerError as error:
        raise Failure(error) from error
    except (KeyboardInterrupt, click.Abort):
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _close_stdout()
        raise click.exceptions.Exit(0) from None
    except OSError as error:
        # The machine's, not ours: a full disk behind stdout, a directory that must not be read.
        _close_stdout()
        raise Failure(Unavailable(str(error))) from error
    return result


def _close_stdout() -> None:
    """Whoever read our output has had enough; the interpreter's flush at exit must not complain of that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 work failed, 2 bad input, 3 not found, 4 out of reach, 130 interrupted.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings file. Default: $RUNNER_CONFIG, ./runner.yaml, else built-in settings.",
)
@click.version_option(package_name="shard-runner")
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Run one command over many shards, and see what became of each.

    \b
    A job is named by its id, a unique beginning of it, its name (the latest of that name), or `last`.
    One of its tasks is JOB/INDEX.

    \b
    Examples:
      runner-controller submit --name hello --array 5 -- sh -c 'echo shard $RUNNER_TASK_INDEX'
      runner-controller status last
      runner-controller logs last/3
    """
    context.obj = App(config)
    if os.environ.get("NO_COLOR"):
        context.color = False


def main() -> None:
    cli(prog_name="runner-controller")


if __name__ == "__main__":
    main()
