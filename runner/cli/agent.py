"""`runner-agent`: the daemon on a host."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import click
import structlog

from runner.agent import watchdog
from runner.agent.pulse import read
from runner.assembly import run_agent
from runner.configuration import load_settings
from runner.errors import RunnerError
from runner.settings import Settings
from runner.wiring import host_state, open_engines


@click.command(help="Take tasks from the queue and run them on this host, until told to stop.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file. Default: $RUNNER_CONFIG, ./runner.yaml."
)
@click.option(
    "--host", default=None, help="Name of this host; one agent per name. Default: the machine's name."
)
@click.option(
    "--local", is_flag=True, help="End when idle, or when no controller supervises (as `submit` starts it)."
)
@click.option(
    "--guard", "guarded", type=(str, int), hidden=True, help="Watch over the agent INCARNATION, process PID."
)
@click.version_option(package_name="shard-runner")
def main(config: Path | None, host: str | None, local: bool, guarded: tuple[str, int] | None) -> None:
    configure_log()
    try:
        settings = load_settings(config, os.environ, Path.cwd())
        name = host or socket.gethostname()
        if guarded:
            asyncio.run(_guard(settings, name, *guarded))
        else:
            asyncio.run(run_agent(settings, name, local=local))
    except RunnerError as error:
        click.echo(f"runner-agent: {error}", err=True)
        sys.exit(error.exit_code)


async def _guard(settings: Settings, host: str, incarnation: str, agent: int) -> None:
    # The agent is told to stop by the same signals; its watchdog ends when it has.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    async def sweep() -> int:
        engines = await open_engines(settings, host, 0)
        try:
            return sum([await engine.sweep(host) for engine in engines.values()])
        finally:
            for engine in engines.values():
                await engine.close()

    pulse = host_state(settings, host) / "pulse"
    await watchdog.watch(
        lambda: read(pulse),
        sweep,
        lambda: os.getppid() == agent,  # an orphan's parent is another
        incarnation=incarnation,
        patience=settings.agent.lease,
    )


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
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    main()
