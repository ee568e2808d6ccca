"""What a restarted agent does with what its predecessor left: adopt what still runs, give up the rest, at once.

Only the host's lock makes this safe: whoever holds it knows that the predecessor is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from runner.agent.capture import Capture
from runner.agent.holding import Holding, Started
from runner.agent.journal import Left
from runner.agent.recording import record
from runner.agent.room import shape_of
from runner.agent.station import Station
from runner.agent.watching import see_through
from runner.errors import StartError
from runner.model import Attempt, Job, Kind, Outcome
from runner.ports import Container, Engine, LogWriter, Output

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Leftover:
    """An attempt of the predecessor that is still current, and what that wrote down of it; `started`: its container, if
    it can be adopted."""

    job: Job
    holding: Holding
    left: Left
    started: Started | None = None


async def find(station: Station) -> Sequence[Leftover]:
    """All that the journal says was begun and the ledger says is still this host's. Other containers are removed.

    The attempts found are held from now on, and those adopted are in the room. Raises Unavailable, EngineError: then
    the next start finds the same.
    """
    current = await _still_current(station, station.journal.left)
    adoptable = await _adoptable(station, current)
    adopted: dict[str, Started] = {}
    needed = {leftover.job.engine for leftover in current}
    for name, engine in station.engines.items():
        if name in needed or not station.ailing.get(name):  # without Docker, a host can still run processes
            adopted.update(await _adopt(station, engine, adoptable))
    return [_with_container(station, leftover, adopted) for leftover in current]


async def resume(station: Station, leftover: Leftover) -> None:
    """See an adopted container through, or give up an attempt whose container is gone."""
    holding, job = leftover.holding, leftover.job
    log.info("recovered", attempt=str(holding.attempt), adopted=leftover.started is not None)
    try:
        if leftover.started is None:
            outcome = Outcome(Kind.LOST, reason="its agent was killed", finished_at=station.now())
        else:
            outcome = await _see_out(station, leftover, leftover.started)
        await record(station, job, holding, outcome)
    finally:
        station.roles.withdraw(holding.attempt)
        await station.heartbeat.drop(holding)


async def _see_out(station: Station, leftover: Leftover, started: Started) -> Outcome:
    job, holding, stop = leftover.job, leftover.holding, leftover.left.stop
    if stop is not None:
        # Not sooner: what is stopped for a lost lease is not renewed, and looking for containers may take long.
        holding.stop(stop.cause, stop.detail)
        holding.tell(stop.at)
    try:
        time_left = _time_left(station, leftover, started.container)
        return await see_through(station, job, holding, started, time_left)
    finally:
        station.room.leave(shape_of(job, holding.attempt))


async def _still_current(station: Station, noted: Sequence[Left]) -> Sequence[Leftover]:
    held_until = asyncio.get_running_loop().time() + station.heartbeat.lease
    gone = {str(attempt) for attempt in await station.ledger.touch([each.attempt for each in noted])}
    # Not before: until their leases are renewed, whoever counts the silence of the predecessor is to count on.
    station.taken_over()
    current = []
    for each in noted:
        attempt = each.attempt
        job = await station.jobs.get(attempt.task.job_id)
        if job is None or str(attempt) in gone:
            station.journal.ended(attempt)
            continue
        holding = Holding(each.lease, attempt, job.limits.grace)
        holding.renewed(held_until)
        station.heartbeat.hold(holding)
        current.append(Leftover(job, holding, each))
    return current


async def _adoptable(
    station: Station, current: Sequence[Leftover]
) -> Mapping[str, tuple[Attempt, Mapping[str, str]]]:
    """By its label, each attempt with its secrets; without those that can no longer be kept out of its output."""
    found = {}
    for leftover in current:
        attempt = leftover.holding.attempt
        try:
            found[str(attempt)] = attempt, await station.confidential(leftover.job, attempt)
        except StartError as error:
            log.warning("cannot adopt", attempt=str(attempt), error=str(error))
    return found


async def _adopt(
    station: Station, engine: Engine, adoptable: Mapping[str, tuple[Attempt, Mapping[str, str]]]
) -> dict[str, Started]:
    outputs: dict[str, tuple[Capture, LogWriter]] = {}

    def output(labels: Mapping[str, str]) -> Output | None:
        key = labels.get("attempt", "")
        if key not in adoptable:
            return None
        attempt, secrets = adoptable[key]
        # Not before: a writer begins the log anew, and that of an attempt whose container is gone must stay.
        writer = station.logs.writer(attempt)
        outputs[key] = Capture(writer, secrets.values()), writer
        return outputs[key][0]

    containers = await engine.recover(station.host.name, output)
    found = {container.labels["attempt"]: container for container in containers}
    return {key: Started(container, *outputs[key]) for key, container in found.items()}


def _with_container(station: Station, leftover: Leftover, adopted: Mapping[str, Started]) -> Leftover:
    attempt = leftover.holding.attempt
    started = adopted.get(str(attempt))
    if started is not None:
        # It is in there already, however large the room is now; nobody else may be asked in before that is known.
        station.room.take(attempt.task, shape_of(leftover.job, attempt))
    return replace(leftover, started=started)


def _time_left(station: Station, leftover: Leftover, container: Container) -> float | None:
    """What is left of the time limit, never more than all: by the clock of the loops of both agents, which is the
    machine's and nobody sets; by the wall clock if that is another boot's, or was not noted."""
    limit, start = leftover.job.limits.timeout, leftover.left.start
    if limit is None:
        return None
    if start is not None and start.boot == station.boot:
        ran = asyncio.get_running_loop().time() - start.at
    else:
        ran = station.now() - container.started_at
    return min(limit, max(0.0, limit - ran))
