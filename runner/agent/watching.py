"""A started container, watched to its end: its own, its time limit's, or that of a reason to stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from runner import outcomes
from runner.agent.holding import Holding, Started
from runner.agent.journal import Stop
from runner.agent.station import Station
from runner.errors import EngineError, EngineUnavailable
from runner.model import Job, Kind, Outcome
from runner.outcomes import StopCause
from runner.ports import Container, Exit

log = structlog.get_logger()

T = TypeVar("T")

# Seconds between two looks at an engine that has something running and does not answer.
AWAY = 5.0


async def see_through(
    station: Station, job: Job, holding: Holding, started: Started, time_left: float | None
) -> Outcome:
    """Watch a started container to its end and say how it ended. Its removal is left to go on by itself."""
    container = started.container
    holding.started = started
    try:
        outcome = await _end(station, job, holding, started, time_left)
    except EngineError as error:
        reason = f"lost sight of the container: {error}"
        outcome = Outcome(Kind.LOST, reason=reason, finished_at=station.now())
    finally:
        holding.started = None
        started.capture.close()
        await station.removals.add(container.remove())
    return replace(
        outcome,
        tail=() if outcome.kind is Kind.SUCCEEDED else started.capture.tail(),
        log_bytes=started.writer.written,
        log_dropped=started.writer.dropped,
        log=started.writer.place,
        machine_type=station.host.machine_type,
    )


async def _end(
    station: Station, job: Job, holding: Holding, started: Started, time_left: float | None
) -> Outcome:
    ended, cause = await _watch(station, job, holding, started.container, time_left)
    metadata = await started.metadata()
    trouble = await station.host.health() if ended.exit_code else ""
    outcome = outcomes.of_exit(ended, cause, detail=holding.detail, disk_trouble=trouble)
    return replace(outcome, metadata=metadata)


async def _watch(
    station: Station, job: Job, holding: Holding, container: Container, time_left: float | None
) -> tuple[Exit, StopCause | None]:
    """How the container ended, and why we stopped it, if we did."""
    ending = asyncio.ensure_future(_until(container.wait, "wait"))
    try:
        await asyncio.wait((ending, holding.stopped), timeout=time_left, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            holding.stop(StopCause.TIME_LIMIT, f"ran longer than its limit of {job.limits.timeout or 0:g} s")
            await _stop(station, holding, container)
        ended = await ending
        # Its end is told only when its output and its sidecars have ended too, or it ended while no agent lived.
        told_at = holding.told_at(station.now())
        if told_at is None or ended.finished_at < told_at:
            return ended, _cause_of_own_exit(station, holding, ended)
        return ended, holding.cause
    finally:
        ending.cancel()


async def _stop(station: Station, holding: Holding, container: Container) -> None:
    cause = holding.stopped.result()
    now = station.now()
    if holding.told_at(now) is None:
        holding.tell(now)
        # First: should this agent die before it can record that, its end must not be taken for the task's own.
        station.journal.stopping(holding.attempt, Stop(cause, holding.detail, now))
    await _until(partial(container.stop, _grace(station, holding, cause)), "stop")


async def _until(act: Callable[[], Awaitable[T]], what: str) -> T:
    """Until the engine has answered, however long it is away: its containers may run on, and an attempt that was given
    up would run beside the next one. Whoever replaces the machine, or finds its lease run out, ends that."""
    while True:
        try:
            return await act()
        except EngineUnavailable as error:
            log.warning("the engine is away from what it runs", asked=what, error=str(error), retry_in=AWAY)
            await asyncio.sleep(AWAY)


def _cause_of_own_exit(station: Station, holding: Holding, ended: Exit) -> StopCause | None:
    """None, unless the lease ran out while this agent was frozen: then a failure is likely the watchdog's kill.

    A success stands whatever became of the lease, if the ledger still takes it.
    """
    station.heartbeat.expire(asyncio.get_running_loop().time())
    return StopCause.LEASE_LOST if holding.lapsed and ended.exit_code != 0 else None


def _grace(station: Station, holding: Holding, cause: StopCause) -> float:
    if cause is StopCause.LEASE_LOST:
        return min(holding.grace, station.heartbeat.stopping_grace)
    return max(0.0, min(holding.grace, holding.over_by - asyncio.get_running_loop().time()))
