"""What a restarted agent does with what its predecessor left: adopt what still runs, give up the rest, at once.

Only the host's lock makes this safe: whoever holds it knows that the predecessor is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from runner.agent.capture import Capture
from runner.agent.execution import Started, see_through
from runner.agent.holding import Holding
from runner.agent.recording import record
from runner.agent.room import shape_of
from runner.agent.station import Station
from runner.errors import StartError
from runner.model import Attempt, Job, Kind, Lease, Outcome
from runner.ports import Container, Engine, LogWriter, Output

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Leftover:
    """An attempt of the predecessor that is still current; `started`: its container, if it can be adopted."""

    job: Job
    holding: Holding
    started: Started | None


async def find(station: Station) -> Sequence[Leftover]:
    """All that the journal says was begun and the ledger says is still this host's. Other containers are removed.

    The attempts found are held from now on. Raises Unavailable, EngineError: then the next start finds the same.
    """
    current = await _still_current(station, station.journal.left)
    outputs = {str(holding.attempt): await _output(station, job, holding.attempt) for job, holding in current}
    adopted: dict[str, Container] = {}
    for engine in station.engines.values():
        adopted.update(await _adopt(station, engine, outputs))
    return [_leftover(job, holding, adopted, outputs) for job, holding in current]


async def resume(station: Station, leftover: Leftover) -> None:
    """See an adopted container through, or give up an attempt whose container is gone."""
    holding, job = leftover.holding, leftover.job
    log.info("recovered", attempt=str(holding.attempt), adopted=leftover.started is not None)
    try:
        if leftover.started is None:
            outcome = Outcome(Kind.LOST, reason="its agent was killed", finished_at=station.now())
        else:
            async with station.room.hold(holding.attempt.task, shape_of(job, holding.attempt)):
                left = _time_left(job, leftover.started.container, station.now())
                outcome = await see_through(station, job, holding, leftover.started, left)
        await record(station, job, holding, outcome)
    finally:
        await station.heartbeat.drop(holding)


async def _still_current(
    station: Station, left: Sequence[tuple[Lease, Attempt]]
) -> Sequence[tuple[Job, Holding]]:
    gone = {str(attempt) for attempt in await station.ledger.touch([attempt for _, attempt in left])}
    held_until = asyncio.get_running_loop().time() + station.heartbeat.lease
    current = []
    for lease, attempt in left:
        job = await station.jobs.get(attempt.task.job_id)
        if job is None or str(attempt) in gone:
            station.journal.ended(attempt)
            continue
        holding = Holding(lease, attempt)
        holding.renewed(held_until)
        station.heartbeat.hold(holding)
        current.append((job, holding))
    return current


async def _output(station: Station, job: Job, attempt: Attempt) -> tuple[Capture, LogWriter] | None:
    """Where an adopted container's output goes; None if its secrets can no longer be kept out of it."""
    try:
        secrets = await station.secrets.resolve(job)
    except StartError as error:
        log.warning("cannot adopt", attempt=str(attempt), error=str(error))
        return None
    writer = station.logs.writer(attempt)
    return Capture(writer, secrets.values()), writer


async def _adopt(
    station: Station, engine: Engine, outputs: Mapping[str, tuple[Capture, LogWriter] | None]
) -> dict[str, Container]:
    def output(labels: Mapping[str, str]) -> Output | None:
        found = outputs.get(labels.get("attempt", ""))
        return found[0] if found else None

    containers = await engine.recover(station.host.name, output)
    return {container.labels["attempt"]: container for container in containers}


def _leftover(
    job: Job,
    holding: Holding,
    adopted: Mapping[str, Container],
    outputs: Mapping[str, tuple[Capture, LogWriter] | None],
) -> Leftover:
    key = str(holding.attempt)
    container, output = adopted.get(key), outputs[key]
    started = Started(container, *output) if container is not None and output is not None else None
    return Leftover(job, holding, started)


def _time_left(job: Job, container: Container, now: float) -> float | None:
    """What is left of the time limit, by the wall clock: the only one that both agents share. Never more than all."""
    if job.limits.timeout is None:
        return None
    return min(job.limits.timeout, max(0.0, job.limits.timeout - (now - container.started_at)))
