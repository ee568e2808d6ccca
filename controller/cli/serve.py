"""`serve`: the supervisor, until told to stop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING

import click

from controller.cli.app import App, pass_app
from controller.cli.wait import Interrupts, stop_agents
from controller.waiting import supervising
from controller.wiring import Parts, healthz
from runner.errors import BadInput, Place
from runner.wording import shown

if TYPE_CHECKING:
    from controller.supervisor import Supervisor


@click.command(name="serve")
@click.option("--listen", metavar="HOST:PORT", help="Where to answer /healthz. Default: supervisor.listen.")
@pass_app
def command(app: App, listen: str | None) -> None:
    """Supervise: put work on the queues, start the jobs whose turn has come, start agents or machines.

    Runs until Ctrl-C or SIGTERM; then the agents it started finish what they can in a few seconds and stop.
    Nothing is lost. Of several, one leads and the others stand by. GET /healthz tells whether all goes well.

    \b
    Examples:
      runner-controller serve
      runner-controller --config /etc/runner.yaml serve --listen 127.0.0.1:8080
    """
    # Here, not above: the agent's module is dear, and only this command logs as a daemon does.
    from runner.cli.agent import configure_log

    if listen is not None and not re.fullmatch(r".+:[0-9]{1,5}", listen):
        message = f"{shown(listen)} is not HOST:PORT, such as 127.0.0.1:8080"
        raise BadInput(message, Place(key="--listen"))
    configure_log()
    app.run(lambda parts: serve(parts, listen or parts.settings.supervisor.listen))


async def serve(parts: Parts, listen: str | None) -> None:
    import structlog

    log = structlog.get_logger()
    told = asyncio.Event()
    interrupts = Interrupts()
    interrupts.react = told.set
    supervisor = parts.supervisor()
    with interrupts.handled():
        async with AsyncExitStack() as stack:
            if listen is not None:
                await stack.enter_async_context(answering(listen, supervisor))
            log.info("supervising", home=str(parts.settings.home), healthz=listen)
            running = await stack.enter_async_context(supervising(parts, supervisor))
            stop = asyncio.ensure_future(told.wait())
            await asyncio.wait((stop, running), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if running.done():
                running.result()
        log.info("stopping")
        await stop_agents(parts, interrupts, log.info)


def answering(listen: str, supervisor: Supervisor) -> AbstractAsyncContextManager[int]:
    def report() -> tuple[bool, Mapping[str, object]]:
        now = asyncio.get_running_loop().time()
        return not supervisor.health.trouble(now), supervisor.health.told(now)

    return healthz(listen, report)
