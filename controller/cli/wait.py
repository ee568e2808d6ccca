"""Waiting for jobs from a command: progress meanwhile, a summary at the end, and a way out by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from controller.cli.live import display
from controller.cli.output import Command, Format, duration, remark
from controller.remarks import warnings_to
from controller.waiting import until_ended
from controller.wiring import Parts
from runner.model import JobRecord, Status

INTERRUPTED = 130
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
        interrupts.react = lambda _: waiting.cancel()
        try:
            return await waiting
        except asyncio.CancelledError:
            await stop_agents(parts, interrupts, shown.note)
    remark(f"interrupted, nothing is lost; to go on: runner-controller watch {job_ids[0]}")
    await _say_what_still_runs(parts)
    return None


def exit_status(records: Sequence[JobRecord] | None) -> int:
    if records is None:
        return INTERRUPTED
    return 0 if all(record.status is Status.SUCCEEDED for record in records) else 1


async def say_what_is_left(parts: Parts) -> None:
    """Other jobs may have got ahead only because this command supervised."""
    unfinished = await parts.records.jobs(unfinished=True)
    if unfinished and not (await parts.ledger.supervision()).led:
        remark(
            f"{len(unfinished)} other jobs have not ended, and nobody supervises now: runner-controller watch"
        )


class Interrupts:
    """Ctrl-C and SIGTERM, counted. `react` is called with the count."""

    def __init__(self) -> None:
        self.react: Callable[[int], object] = lambda _: None
        self._count = 0

    @contextmanager
    def handled(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._again)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _again(self) -> None:
        self._count += 1
        self.react(self._count)


async def stop_agents(parts: Parts, interrupts: Interrupts, note: Callable[[str], object]) -> None:
    """Stop the agents started here. Interrupted once more they hurry; after that they are left alone."""
    stopping = [asyncio.ensure_future(parts.fleet.stop())]

    def react(_: int) -> None:
        if len(stopping) > 1:
            stopping[0].cancel()
        stopping.append(asyncio.ensure_future(parts.fleet.stop()))

    interrupts.react = react
    await asyncio.wait(stopping[:1], timeout=NOTICEABLE)
    if not stopping[0].done():
        drain = duration(parts.settings.agent.drain)
        note(f"stopping: what runs may go on for {drain}; Ctrl-C again stops it now")
        await asyncio.wait(stopping[:1])
    for each in stopping:
        each.cancel()


async def _say_what_still_runs(parts: Parts) -> None:
    """Agents that an earlier command started go on until they notice that nobody supervises."""
    if (await parts.ledger.supervision()).led:
        return
    running = sum(record.counts.running for record in await parts.records.jobs(unfinished=True))
    if running:
        remark(f"{running} tasks still run, on agents that another command started: these end with them")
