"""`serve`: the supervisor, until told to stop."""

from __future__ import annotations

import asyncio

import click

from controller.cli.app import App, pass_app
from controller.cli.wait import Interrupts, stop_agents
from controller.waiting import supervising
from controller.wiring import Parts


@click.command(name="serve")
@pass_app
def command(app: App) -> None:
    """Supervise: put work on the queues, start the jobs whose turn has come, start agents.

    Runs until Ctrl-C or SIGTERM; then the agents it started finish what they can in a few seconds and stop.
    Nothing is lost. Of several, one leads and the others stand by.

    \b
    Examples:
      runner-controller serve
      runner-controller --config /etc/runner.yaml serve
    """
    # Here, not above: the agent's module is dear, and only this command logs as a daemon does.
    from runner.cli.agent import configure_log

    configure_log()
    app.run(serve)


async def serve(parts: Parts) -> None:
    import structlog

    log = structlog.get_logger()
    told = asyncio.Event()
    interrupts = Interrupts()
    interrupts.react = told.set
    with interrupts.handled():
        log.info("supervising", home=str(parts.settings.home))
        async with supervising(parts) as running:
            stop = asyncio.ensure_future(told.wait())
            await asyncio.wait((stop, running), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if running.done():
                running.result()
        log.info("stopping")
        await stop_agents(parts, interrupts, log.info)
