"""One lease, from begin to outcome. The heart of the agent.

    begin ──refused──► hide or complete the message
      │
      ▼
    wait for room ► start ► watch until exit, time limit, cancel, drain or lost lease ► outcome
      │
      ▼
    record, then acknowledge

Whatever happens in between, a task's message is deleted only after its terminal record stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from runner import outcomes
from runner.agent.capture import Capture
from runner.agent.holding import Holding
from runner.agent.recording import record
from runner.agent.room import shape_of
from runner.agent.station import Station
from runner.environment import parse_metadata, task_environment
from runner.errors import EngineError, NotFound, RunnerError, StartError
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome
from runner.outcomes import StopCause
from runner.ports import Container, ContainerSpec, Exit, LogWriter
from runner.units import format_size

log = structlog.get_logger()

PAUSE = 0.2


async def execute(station: Station, lease: Lease) -> None:
    """Take one lease to its end. Raises only what the agent cannot go on after."""
    if lease.task in station.heartbeat:
        # A duplicate of what runs right here. The ledger would take its owner, maybe an earlier incarnation of this
        # host whose container we adopted, for dead.
        await station.queue.release(lease, station.heartbeat.lease)
        return
    try:
        started = await _begin(station, lease)
    except RunnerError as error:
        log.warning("cannot begin", task=str(lease.task), error=str(error))
        await asyncio.sleep(PAUSE)  # the lease runs out and the message comes back: never a hot loop
        return
    if started is not None:
        await _carry_out(station, *started)


async def _begin(station: Station, lease: Lease) -> tuple[Job, Holding] | None:
    """The job and the attempt that was begun; None if there is nothing to do, and then the message is dealt with."""
    job = await station.jobs.get(lease.task.job_id)
    if job is None:
        log.warning("message for an unknown job", task=str(lease.task))
        await station.queue.complete([lease])
        return None
    begun = await station.ledger.begin(lease, job, station.owner)
    if isinstance(begun, Attempt):
        return job, Holding(lease, begun)
    log.info("refused", task=str(lease.task), why=str(begun.kind), retry_after=begun.retry_after)
    if begun.retry_after is None:
        await station.queue.complete([lease])
    else:
        await station.queue.release(lease, begun.retry_after)
    return None


async def _carry_out(station: Station, job: Job, holding: Holding) -> None:
    station.journal.begun(holding.lease, holding.attempt)
    station.heartbeat.hold(holding)
    try:
        outcome = await _in_the_room(station, job, holding)
        await record(station, job, holding, outcome)
    finally:
        await station.heartbeat.drop(holding)


async def _in_the_room(station: Station, job: Job, holding: Holding) -> Outcome:
    shape = shape_of(job, holding.attempt)
    if not station.room.could_hold(shape):
        has = station.room.capacity
        reason = (
            f"needs {shape.vcpus:g} vCPUs and {format_size(shape.memory)} of memory; "
            f"this host has {has.vcpus:g} and {format_size(has.memory)}"
        )
        return Outcome(Kind.START_ERROR, Charge.INFRA, reason=reason, finished_at=station.now())
    async with station.room.hold(holding.attempt.task, shape):
        return await _run(station, job, holding)


async def _run(station: Station, job: Job, holding: Holding) -> Outcome:
    writer = station.logs.writer(holding.attempt)
    try:
        secrets = await station.secrets.resolve(job)
        engine = station.engine_for(job)
        spec = await _spec(station, job, holding, secrets)
        await engine.prepare(job, station.room.slots)
        if holding.cause is not None:
            return outcomes.never_started(holding.cause, holding.detail, station.now())
        capture = Capture(writer, secrets.values())
        container = await engine.start(spec, capture)
    except EngineError as error:
        return outcomes.of_error(error, station.now())
    return await see_through(station, job, holding, Started(container, capture, writer), job.limits.timeout)


@dataclass(frozen=True, slots=True)
class Started:
    """A container and where its output goes."""

    container: Container
    capture: Capture
    writer: LogWriter


async def see_through(
    station: Station, job: Job, holding: Holding, started: Started, time_left: float | None
) -> Outcome:
    """Watch a started container to its end and say how it ended. Its removal is left to go on by itself."""
    container = started.container
    holding.container = container
    try:
        ended, cause = await _watch(station, job, holding, container, time_left)
        metadata = parse_metadata(await container.metadata())
    except EngineError as error:
        return Outcome(Kind.LOST, reason=f"lost sight of the container: {error}", finished_at=station.now())
    finally:
        holding.container = None
        started.capture.close()
        await station.removals.add(container.remove())
    trouble = await station.host.health() if ended.exit_code else ""
    outcome = outcomes.of_exit(ended, cause, detail=holding.detail, disk_trouble=trouble)
    return replace(
        outcome,
        tail=() if outcome.kind is Kind.SUCCEEDED else started.capture.tail(),
        log_bytes=started.writer.written,
        log_dropped=started.writer.dropped,
        metadata=metadata,
    )


async def _watch(
    station: Station, job: Job, holding: Holding, container: Container, time_left: float | None
) -> tuple[Exit, StopCause | None]:
    """How the container ended, and why we stopped it, if we did."""
    ending = asyncio.ensure_future(container.wait())
    try:
        await asyncio.wait((ending, holding.stopped), timeout=time_left, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return ending.result(), _cause_of_own_exit(station, holding, ending.result())
        holding.stop(StopCause.TIME_LIMIT, f"ran longer than its limit of {job.limits.timeout or 0:g} s")
        cause = holding.stopped.result()
        await container.stop(_grace(station, job, cause))
        return await ending, cause
    finally:
        ending.cancel()


def _cause_of_own_exit(station: Station, holding: Holding, ended: Exit) -> StopCause | None:
    """None, unless the lease ran out while this agent was frozen: then a failure is likely the watchdog's kill.

    A success stands whatever became of the lease, if the ledger still takes it.
    """
    station.heartbeat.expire(asyncio.get_running_loop().time())
    lost = holding.cause is StopCause.LEASE_LOST and ended.exit_code != 0
    return StopCause.LEASE_LOST if lost else None


def _grace(station: Station, job: Job, cause: StopCause) -> float:
    if cause is StopCause.LEASE_LOST:
        return min(job.limits.grace, station.heartbeat.stopping_grace)
    return job.limits.grace


async def _spec(station: Station, job: Job, holding: Holding, secrets: Mapping[str, str]) -> ContainerSpec:
    attempt = holding.attempt
    task = attempt.task
    return ContainerSpec(
        name=f"runner-{task.job_id}-{task.index}-{attempt.number}",
        host=station.host.name,
        job_id=job.id,
        image=job.image,
        command=job.command,
        env={**task_environment(job, attempt, await _item(station, job, task.index)), **secrets},
        vcpus=job.limits.vcpus,
        memory=attempt.memory,
        pids=job.limits.pids,
        grace=job.limits.grace,
        mounts=job.mounts,
        sidecars=job.sidecars,
        labels={"attempt": str(attempt)},
    )


async def _item(station: Station, job: Job, index: int) -> str | None:
    if job.array.manifest is None:
        return None
    try:
        return await station.manifests.get(job.array.manifest, index)
    except NotFound as error:
        message = f"item {index} of the array cannot be read: {error}"
        raise StartError(message) from error
