"""`reproduce --remote`: one task again, alone, on a fresh machine of the kind it had; its output comes here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller.cli.output import line, remark
from controller.ports import Machines
from controller.remote import Heard, Site, heard
from runner.aws import AwsError, Trouble
from runner.errors import Unavailable

# Seconds between looks at the console. It is some seconds late by itself.
LOOK = 10.0
# Once the machine has ended its console is still completed for a while.
AFTERWARDS = 12
# So many looks in a row may fail: what runs for hours must not be given up for a network that was away for minutes.
MISSED = 60
# Between tries to end the machine, in seconds: at first not every part of the service knows it.
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

HOPELESS = frozenset({Trouble.DENIED, Trouble.REFUSED})


async def run_remotely(
    machines: Machines, site: Site, user_data: bytes, purpose: str, show: Callable[[str], None] = line
) -> int:
    """The program's exit status. The machine is ended whatever happens here. Raises Unavailable."""
    for text in site.remarks:
        remark(text)
    machine = await _started(machines, site, user_data, purpose)
    try:
        remark(f"{machine} ({site.kind.name}) starts, and ends with the task; Ctrl-C ends it at once")
        return await _follow(machines, machine, show)
    finally:
        await _end(machines, machine)


async def _started(machines: Machines, site: Site, user_data: bytes, purpose: str) -> str:
    """Given up while the request is under way, it may still bring a machine, of which nobody else would know."""
    starting = asyncio.ensure_future(machines.start(site.environment, site.kind.name, user_data, purpose))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait((starting,))
        if starting.exception() is None:
            await _end(machines, starting.result())
        raise


async def _follow(machines: Machines, machine: str, show: Callable[[str], None]) -> int:
    last, looks_left = 0, AFTERWARDS
    while looks_left:
        ended, console = await _look(machines, machine)
        news = heard(console, last)
        last = news.last
        _tell(news, show)
        if news.failure:
            message = f"the program was not started: {news.failure}"
            raise Unavailable(message)
        if news.exit_status is not None:
            return news.exit_status
        looks_left -= ended
        await asyncio.sleep(LOOK)
    message = f"{machine} ended without saying how the program did"
    raise Unavailable(message)


def _tell(news: Heard, show: Callable[[str], None]) -> None:
    if news.lost:
        remark(f"({news.lost} lines came too fast for the console and are lost)")
    for text in news.lines:
        show(text)


async def _look(machines: Machines, machine: str) -> tuple[bool, str]:
    """Whether it has ended, and what its console says."""
    told = ""
    for _ in range(MISSED):
        try:
            return await machines.ended(machine), await machines.console(machine)
        except Unavailable as error:
            if isinstance(error, AwsError) and error.trouble in HOPELESS:
                raise
            if str(error) != told:
                told = str(error)
                remark(f"cannot look at {machine}, and will again: {told}")
        await asyncio.sleep(LOOK)
    raise Unavailable(told)


async def _end(machines: Machines, machine: str) -> None:
    """What brought us here is what is to be told, so a failure of this is only remarked."""
    for pause in (*PAUSES, None):
        try:
            await machines.end(machine)
        except Unavailable as error:
            if pause is None:
                remark(
                    f"cannot end {machine}, which ends by itself after the task's time limit or a day: {error}"
                )
                return
            await asyncio.sleep(pause)
        else:
            return
