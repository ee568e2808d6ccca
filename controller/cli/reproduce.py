"""`reproduce`: one task again, alone, in the foreground."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from controller import reproduce as reproducing
from controller.cli.app import App, leave, pass_app
from controller.cli.output import remark
from controller.cli.remote import run_remotely
from controller.listing import find_task
from controller.remote import site_for, user_data
from controller.reproduce import Again
from controller.selectors import select_task
from controller.wiring import Parts, process_environment
from runner.errors import BadInput, Unavailable
from runner.wiring import open_secrets

NOT_FOUND = 127
INSPECT = 10.0  # seconds that the engine may take to say what it knows of an image
NOT_EXECUTABLE = 126


@click.command(name="reproduce")
@click.argument("selector", metavar="JOB/INDEX")
@click.option("--attempt", type=click.IntRange(min=1), help="That attempt at the task. Default: the latest.")
@click.option("--print", "only_print", is_flag=True, help="Print the command line, run nothing.")
@click.option("--shell", is_flag=True, help="Open a shell in its place.")
@click.option("--remote", is_flag=True, help="On a fresh machine of the kind it had (mode fleet).")
@pass_app
def command(
    app: App, selector: str, attempt: int | None, only_print: bool, shell: bool, remote: bool
) -> None:
    """Run one task again as it ran: same image, command, environment, item, mounts and limits.

    It runs here, alone, in the foreground, and nothing of it is recorded. Secrets are read anew, as the
    agent reads them. The exit status is the program's.

    With --remote it runs alone on a new instance of the type that is recorded for the attempt, which ends
    with it; what it writes is shown from the instance's console, some seconds late.

    \b
    Examples:
      runner-controller reproduce last/17
      runner-controller reproduce transform/17 --print
      runner-controller reproduce transform/17 --shell
      runner-controller reproduce transform/17 --remote
    """
    if remote:
        if only_print or shell:
            message = "--remote goes with neither --print nor --shell"
            raise click.UsageError(message)
        app.run(lambda parts: _elsewhere(parts, selector, attempt))
        return
    this, secrets, host = app.call(
        lambda parts: _gather(parts, selector, attempt, with_secrets=not only_print)
    )
    for text in this.remarks:
        remark(text)
    if only_print:
        _print(this, host, shell=shell)
    elif this.image:
        leave(_in_container(this, secrets, host, shell=shell))
    else:
        leave(_here(this, secrets, shell=shell))


async def _gather(
    parts: Parts, selector: str, attempt: int | None, *, with_secrets: bool
) -> tuple[Again, Mapping[str, str], str | None]:
    """The attempt, its secrets' values, and where the Docker engine is if that was set."""
    record, task = await select_task(parts.records, selector)
    array, settings = record.job.array, parts.settings
    if record.job.emr is not None:
        message = "it ran on a cluster of Amazon EMR, and cannot without one: submit its job file again"
        raise BadInput(message)
    this = reproducing.again(
        record.job,
        await find_task(parts.records, record, task),
        await parts.records.attempts(task),
        None if array.manifest is None else await parts.manifests.get(array.manifest, task.index),
        number=attempt,
    )
    if not with_secrets:
        return this, {}, settings.docker_host
    async with open_secrets() as secrets:
        return this, await secrets.resolve(record.job), settings.docker_host


async def _elsewhere(parts: Parts, selector: str, attempt: int | None) -> int:
    machines, fleet = parts.machines(), parts.settings.fleet
    assert fleet is not None
    this, _, _ = await _gather(parts, selector, attempt, with_secrets=False)
    site = site_for(fleet, this, await parts.records.attempts(this.attempt.task))
    data = user_data(this, site.kind)
    for text in this.remarks:
        remark(text)
    return await run_remotely(machines, site, data, str(this.attempt))


def _print(this: Again, host: str | None, *, shell: bool) -> None:
    if this.secrets:
        remark(f"needs in its environment: {', '.join(this.secrets)}")
    if this.image:
        root = runs_as_root(this.image, host)
        click.echo(reproducing.docker_line(this, cpus=_cpus(), host=host, root=root, shell=shell))
    else:
        environment = process_environment(this.environment, reproducing.HERE)
        click.echo(reproducing.process_line(this, environment, shell=shell))


def _in_container(this: Again, secrets: Mapping[str, str], host: str | None, *, shell: bool) -> int:
    docker = shutil.which("docker")
    if docker is None:
        message = "there is no `docker` command here; see the line it would run with --print"
        raise Unavailable(message)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    root = runs_as_root(this.image or "", host)
    if not root:
        remark("the image does not run as root: its scratch directory is in memory here, and counts as such")
    command = reproducing.docker_command(
        this, cpus=_cpus(), host=host, root=root, terminal=terminal, shell=shell
    )
    return foreground([docker, *command[1:]], {**os.environ, **secrets}, None, stdin=shell)


def runs_as_root(image: str, host: str | None) -> bool:
    """As far as the engine knows the image."""
    docker = shutil.which("docker")
    if docker is None:
        return True
    command = [
        docker,
        *(["--host", host] if host else []),
        "image",
        "inspect",
        "--format",
        "{{.Config.User}}",
    ]
    try:
        asked = subprocess.run(
            [*command, image], capture_output=True, text=True, timeout=INSPECT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return asked.returncode != 0 or asked.stdout.strip().partition(":")[0] in ("", "0", "root")


def _here(this: Again, secrets: Mapping[str, str], *, shell: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="runner-reproduce-", ignore_cleanup_errors=True) as scratch:
        environment = {**process_environment(this.environment, scratch), **secrets}
        command = [reproducing.SHELL] if shell else this.job.command
        return foreground(command, environment, scratch, stdin=shell)


def foreground(
    command: Sequence[str], environment: Mapping[str, str], directory: str | Path | None, *, stdin: bool
) -> int:
    """Run it with this terminal. Ctrl-C is the program's to answer; its exit status, as a shell tells it."""
    # A handler, not SIG_IGN: what is ignored here would be ignored there as well.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=directory,
            stdin=None if stdin else subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        remark(f"no such command: {command[0]}")
        return NOT_FOUND
    except OSError as error:
        remark(f"cannot run {command[0]}: {error.strerror}")
        return NOT_EXECUTABLE
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _cpus() -> float:
    return float(os.cpu_count() or 1)
