"""`runner-agent`: the daemon on a host."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path

import click
import structlog

from runner.assembly import run_agent
from runner.configuration import load_settings
from runner.errors import BadInput, Place, RunnerError
from runner.wording import shown

# It becomes a directory's name, and part of names and labels of containers.
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.command(help="Take tasks from the queue and run them on this host, until told to stop.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file. Default: $RUNNER_CONFIG, ./runner.yaml."
)
@click.option(
    "--host",
    default=None,
    help="Name of this host (letters, digits, '.', '_', '-'); one agent per name. Default: the machine's name.",
)
@click.option(
    "--local", is_flag=True, help="End when idle, or when no controller supervises (as `submit` starts it)."
)
@click.version_option(package_name="shard-runner")
def main(config: Path | None, host: str | None, local: bool) -> None:
    configure_log()
    try:
        settings = load_settings(config, os.environ, Path.cwd())
        if settings.fleet is not None and (local or host is not None):
            problem = "not in mode fleet: there a host is its instance, and leaves when it is idle"
            raise BadInput(problem, Place(key="--local" if local else "--host"))
        asyncio.run(run_agent(settings, _checked(host or socket.gethostname()), local=local))
    except RunnerError as error:
        click.echo(f"runner-agent: {error}", err=True)
        sys.exit(error.exit_code)


def _checked(host: str) -> str:
    if not HOST.fullmatch(host):
        problem = f"not a host's name: {shown(host)}; letters, digits, '.', '_' and '-', the first a letter or digit"
        raise BadInput(problem, Place(key="--host"))
    return host


def configure_log() -> None:
    """JSON lines on standard error; a person's terminal gets them readable."""
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # A module's logger must follow the log of its process, not the first that a process of tests had.
        cache_logger_on_first_use=False,
    )


if __name__ == "__main__":
    main()
