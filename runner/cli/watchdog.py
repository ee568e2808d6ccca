"""The watchdog's process. It lives beside every agent, so it imports what a sweep needs only when there is one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from runner.agent.pulse import read
from runner.agent.watchdog import watch


def main(arguments: list[str]) -> None:
    """`HOST INCARNATION PID STATE LEASE`, as the agent of that pid starts it."""
    host, incarnation, agent, state, lease = arguments
    # The agent is told to stop by these signals; its watchdog ends when it has.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pulse = Path(state) / "pulse"
    asyncio.run(
        watch(
            lambda: read(pulse),
            lambda wanted: sweep(host, os.environ, wanted),
            lambda: os.getppid() == int(agent),  # an orphan's parent is another
            incarnation=incarnation,
            patience=float(lease),
        )
    )


async def sweep(host: str, environ: Mapping[str, str], wanted: Callable[[], bool]) -> bool:
    """Stop and remove every container of the host, with the agent's own settings. False if some may be left."""
    import structlog

    from runner.configuration import load_settings
    from runner.errors import RunnerError
    from runner.wiring import open_engines

    log = structlog.get_logger()
    try:
        engines = open_engines(load_settings(None, environ, Path.cwd()), host, 0)
    except RunnerError as error:
        log.error("agent silent, and its containers cannot be reached", error=str(error))
        return False
    gone = True
    for engine in engines.values():
        try:
            count = await engine.sweep(host, wanted)
            log.warning("agent silent: containers stopped", engine=engine.name, count=count)
        except RunnerError as error:
            log.error("agent silent, and its containers cannot be stopped", error=str(error))
            gone = False
        finally:
            await engine.close()
    return gone


if __name__ == "__main__":
    main(sys.argv[1:])
