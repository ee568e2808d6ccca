"""Waiting for jobs from a command: progress meanwhile, a summary at the end, and a way out by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from controller.cli.app import INTERRUPTED
from controller.cli.live import display
from controller.cli.output import Command, Format, duration, remark
from controller.cli.supervision import say_what_still_runs
from controller.remarks import warnings_to
from controller.waiting import until_ended
from controller.wiring import Parts
from runner.model import Status
from runner.records import JobRecord

NOTICEABLE = 0.3
SIGNALS = (signal.SIGINT, signal.SIGTERM)

wait_option: Callable[[Command], Command] = click.option(
    "--wait/--detach",
    "wait",
    default=None,
    help="Wait, doing the work meanwhile, or return at once. Default: wait, unless --output is given.",
)


def waits(wait: bool | None, output: Format) -> bool:
    """Whether to wait. Without being told, not for a program: it may have more to submit before it waits."""
    return output is Format.TABLE if wait is None else wait


async def wait_for(parts: Parts, job_ids: Sequence[str]) -> Sequence[JobRecord] | None:
    """The jobs' records once all have ended; None if interrupted, with the agents started here stopped."""
    interrupts = Interrupts()
    with display() as shown, warnings_to(shown.note), interrupts.handled():
        waiting = asyncio.ensure_future(until_ended(parts, job_ids, shown.show))
        interrupts.react = waiting.cancel
        try:
            return await waiting
        except asyncio.CancelledError:
            await stop_agents(parts, interrupts, shown.note)
    remark(f"interrupted, nothing is lost; to go on: runner-controller watch {job_ids[0]}")
    await say_what_still_runs(parts)
    return None


def exit_status(records: Sequence[JobRecord] | None) -> int:
    if records is None:
        return INTERRUPTED
    return 0 if all(record.status is Status.SUCCEEDED for record in records) else 1


class Interrupts:
    """Ctrl-C and SIGTERM: each calls `react`."""

    def __init__(self) -> None:
        self.react: Callable[[], object] = lambda: None

    @contextmanager
    def handled(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, lambda: self.react())
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)


async def stop_agents(parts: Parts, interrupts: Interrupts, note: Callable[[str], object]) -> None:
    """Stop the agents started here. Interrupted once more they hurry; after that they are left alone."""
    stopping = [asyncio.ensure_future(parts.fleet.stop())]

    def hurry() -> None:
        if len(stopping) > 1:
            stopping[0].cancel()
        stopping.append(asyncio.ensure_future(parts.fleet.stop()))

    interrupts.react = hurry
    await asyncio.wait(stopping[:1], timeout=NOTICEABLE)
    if not stopping[0].done():
        drain = duration(parts.settings.agent.drain)
        note(f"stopping: what runs may go on for {drain}; Ctrl-C again stops it now")
        await asyncio.wait(stopping[:1])
    for each in stopping:
        each.cancel()
