"""`reproduce --remote`: one task again, alone, on a fresh machine of the kind it had; its output comes here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller.cli.output import line, remark
from controller.ports import Machines
from controller.remote import Site, heard
from runner.errors import Unavailable

# Seconds between looks at the console. It is some seconds late by itself.
LOOK = 10.0
# Once the machine has ended its console is still completed for a while.
AFTERWARDS = 12


async def run_remotely(
    machines: Machines, site: Site, user_data: bytes, purpose: str, show: Callable[[str], None] = line
) -> int:
    """The program's exit status. The machine is ended whatever happens here. Raises Unavailable."""
    for text in site.remarks:
        remark(text)
    machine = await machines.start(site.environment, site.kind.name, user_data, purpose)
    remark(f"{machine} ({site.kind.name}) starts, and ends with the task; Ctrl-C ends it at once")
    try:
        return await _follow(machines, machine, show)
    finally:
        await machines.end(machine)


async def _follow(machines: Machines, machine: str, show: Callable[[str], None]) -> int:
    last, looks_left = 0, AFTERWARDS
    while looks_left:
        ended = await machines.ended(machine)
        news = heard(await machines.console(machine), last)
        last = news.last
        if news.lost:
            remark(f"({news.lost} lines came too fast for the console and are lost)")
        for text in news.lines:
            show(text)
        if news.exit_status is not None:
            return news.exit_status
        looks_left -= ended
        await asyncio.sleep(LOOK)
    message = f"{machine} ended without saying how the program did"
    raise Unavailable(message)
