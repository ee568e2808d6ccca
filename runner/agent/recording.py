"""Record, then acknowledge: in this order, so that a crash in between makes a duplicate and not a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from runner import retry
from runner.agent.holding import Holding
from runner.agent.station import Station
from runner.errors import RunnerError
from runner.model import Attempt, Charge, Job, Kind, Outcome, Status
from runner.records import Verdict

log = structlog.get_logger()

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0


async def record(station: Station, job: Job, holding: Holding, outcome: Outcome) -> None:
    """Write how the attempt ended, for as long as its lease lasts if need be, and only then touch its message."""
    attempt = holding.attempt
    if attempt.memory != job.limits.memory:
        outcome = replace(outcome, memory=attempt.memory)
    verdict = retry.decide(job, attempt, outcome, station.jitter(), _largest_memory(station, job))
    stands = await _insist(holding, lambda: station.ledger.finish(attempt, outcome, verdict))
    # A success is in the ledger, in full; a line for each of a million would say nothing more.
    if outcome.kind is not Kind.SUCCEEDED or not stands:
        log.info("attempt ended", attempt=str(attempt), outcome=str(outcome.kind), stands=stands)
    if stands is None:
        return  # stays in the journal, and with the message: someone will find it
    station.journal.ended(attempt)
    await station.heartbeat.drop(holding)
    if stands:
        await _acknowledge(station, job, holding, verdict)


def _largest_memory(station: Station, job: Job) -> int:
    anywhere = station.routes.largest_memory(job)
    return station.room.capacity.memory - job.sidecar_memory if anywhere is None else anywhere


async def _acknowledge(station: Station, job: Job, holding: Holding, verdict: Verdict) -> None:
    lease = holding.lease
    try:
        if verdict.status is not Status.RUNNABLE:
            await station.queue.complete([lease])
            return
        channel = _next_channel(station, job, holding.attempt, verdict)
        if channel == lease.queue:
            await station.queue.release(lease, verdict.delay)
            return
        # A durable replacement first: a crash in between makes a duplicate and not a loss.
        await station.queue.send(channel, [lease.task], delay=verdict.delay)
        await station.queue.complete([lease])
    except RunnerError as error:
        # The message comes back, and the ledger then says what it is worth.
        log.warning("cannot acknowledge", task=str(lease.task), error=str(error))


def _next_channel(station: Station, job: Job, attempt: Attempt, verdict: Verdict) -> str:
    """More memory may need a larger machine, and what was lost too often one that cannot be reclaimed."""
    lost = attempt.infra_failures + (verdict.charge is Charge.INFRA)
    return station.routes.channel(job, verdict.memory or attempt.memory, lost)


async def _insist(holding: Holding, write: Callable[[], Awaitable[bool]]) -> bool | None:
    """Repeat a ledger write while the lease lasts, and three times at least. None: it never got through."""
    loop = asyncio.get_running_loop()
    pause, tries = FIRST_PAUSE, 0
    while True:
        tries += 1
        try:
            return await write()
        except RunnerError as error:
            log.warning("cannot record", attempt=str(holding.attempt), error=str(error), tries=tries)
            if tries >= 3 and loop.time() > holding.held_until:
                return None
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)
