"""One lease, from begin to outcome. The heart of the agent.

    begin ──refused──► hide or complete the message
      │
      ▼
    wait for room ► prepare ► start ► watch until its exit or its time limit ► outcome
      │         (a cancel, a drain or a lost lease cuts it short)
      ▼
    record, then acknowledge

Whatever happens in between, a task's message is deleted only after its terminal record stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import structlog

from runner import outcomes
from runner.agent.capture import Capture
from runner.agent.holding import Holding, Started
from runner.agent.journal import Start
from runner.agent.recording import record
from runner.agent.room import Shape, shape_of
from runner.agent.station import Station
from runner.agent.watching import see_through
from runner.environment import task_environment
from runner.errors import (
    EngineError,
    EngineUnavailable,
    NotFound,
    RunnerError,
    StartError,
    StorageError,
    Unavailable,
)
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome
from runner.ports import ContainerSpec, Engine
from runner.records import Refusal, RefusalKind
from runner.units import format_size

log = structlog.get_logger()

T = TypeVar("T")

PAUSE, LONGEST_PAUSE = 0.2, 5.0
# Of a lease: what must be left of it for another try to begin, so that the first beat comes in time.
WORTH_A_TRY = 0.6
# Seconds until a message is seen again whose job no engine here can run at present.
HAND_BACK = 5.0
# In leases: a message that is hidden for less is of a task whose owner may have gone; for longer, of one that was seen
# to live.
IN_DOUBT = 1.5


async def execute(station: Station, lease: Lease) -> None:
    """Take one lease to its end. Raises only what the agent cannot go on after."""
    try:
        started = await _begin(station, lease)
    except RunnerError as error:
        _cannot_begin(station, lease, error)
        await asyncio.sleep(PAUSE)  # the lease runs out and the message comes back: never a hot loop
        return
    if started is not None:
        await _carry_out(station, *started)


def _cannot_begin(station: Station, lease: Lease, error: RunnerError) -> None:
    log.warning("cannot begin", task=str(lease.task), error=str(error))
    if lease.task in station.doubted:
        station.doubted[lease.task] = lease.hidden_until


async def _begin(station: Station, lease: Lease) -> tuple[Job, Holding] | None:
    """The job and the attempt that was begun; None if there is nothing to do, and then the message is dealt with."""
    if lease.task in station.heartbeat:
        # A duplicate of what runs right here. The ledger would take its owner, maybe an earlier incarnation of this
        # host whose container we adopted, for dead.
        await station.queue.release(lease, station.heartbeat.lease)
        return None
    job = await station.jobs.get(lease.task.job_id)
    if job is None:
        await _turn_away(station, lease, Refusal(RefusalKind.UNKNOWN, reason=f"no job {lease.task.job_id}"))
        return None
    if station.obstacle(job):  # said once, by whoever looks after the engines; another host may do better
        await station.queue.release(lease, HAND_BACK)
        return None
    if not station.room.keep(lease.task, shape_of(job)):  # before it begins: then it costs nobody anything
        await station.queue.release(lease, station.room.given_back_for(lease.receives))
        return None
    begun = await _insist(station, lease, job)
    station.doubted.pop(lease.task, None)
    if isinstance(begun, Attempt):
        return job, Holding(lease, begun, job.limits.grace)
    await _turn_away(station, lease, begun)
    return None


async def _insist(station: Station, lease: Lease, job: Job) -> Attempt | Refusal:
    """If only the reply was lost, the task is begun, and who else gets its message can but wait and call it lost."""
    loop, pause = asyncio.get_running_loop(), PAUSE
    while True:
        try:
            return await station.ledger.begin(lease, job, station.owner)
        except RunnerError as error:
            if loop.time() + pause > lease.hidden_until - WORTH_A_TRY * station.heartbeat.lease:
                raise
            _cannot_begin(station, lease, error)
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)


async def _turn_away(station: Station, lease: Lease, refusal: Refusal) -> None:
    if refusal.kind is RefusalKind.UNKNOWN:
        log.warning("message points to nothing", task=str(lease.task), why=refusal.reason)
        await station.queue.quarantine(lease, refusal.reason)
        return
    log.info("refused", task=str(lease.task), why=str(refusal.kind), retry_after=refusal.retry_after)
    if refusal.retry_after is None:
        await station.queue.complete([lease])
        return
    if refusal.kind is RefusalKind.HELD and refusal.retry_after < IN_DOUBT * station.heartbeat.lease:
        station.doubted[lease.task] = asyncio.get_running_loop().time() + refusal.retry_after
    await station.queue.release(lease, refusal.retry_after)


async def _carry_out(station: Station, job: Job, holding: Holding) -> None:
    station.journal.begun(holding.lease, holding.attempt)
    station.heartbeat.hold(holding)
    try:
        outcome = await _in_the_room(station, job, holding)
        await record(station, job, holding, outcome)
    finally:
        station.roles.withdraw(holding.attempt)
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
    async with AsyncExitStack() as stay:
        return await _run(station, job, holding, _make_ready(station, job, holding, shape, stay))


async def _run(station: Station, job: Job, holding: Holding, readying: Coroutine[Any, Any, Ready]) -> Outcome:
    try:
        ready = await _unless_stopped(holding, readying)
    except EngineError as error:
        return outcomes.of_error(error, station.now())
    if ready is None or not station.heartbeat.keeps(holding):
        return outcomes.never_started(holding.stopped.result(), holding.detail, station.now())
    writer = station.logs.writer(holding.attempt)
    capture = Capture(writer, ready.secrets)
    try:
        container = await ready.engine.start(ready.spec, capture)
    except EngineError as error:
        writer.close()
        if holding.cause is not None and isinstance(error, EngineUnavailable):
            return outcomes.never_started(holding.cause, holding.detail, station.now())
        return outcomes.of_error(error, station.now())
    if job.limits.timeout is not None and station.boot:
        start = Start(station.boot, asyncio.get_running_loop().time())
        station.journal.started(holding.attempt, start)
    started = Started(container, capture, writer)
    return await see_through(station, job, holding, started, job.limits.timeout)


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a start needs. `secrets`: what must not be seen in its output."""

    engine: Engine
    spec: ContainerSpec
    secrets: Collection[str] = field(repr=False)


async def _make_ready(
    station: Station, job: Job, holding: Holding, shape: Shape, stay: AsyncExitStack
) -> Ready:
    """What may take long before the start: until there is room, which is kept until `stay` ends, and until the engine
    has the image."""
    await stay.enter_async_context(station.room.hold(holding.attempt.task, shape))
    secrets = await station.confidential(job, holding.attempt)
    engine = station.engine_for(job)
    spec = await _spec(station, job, holding, secrets)
    await engine.prepare(job, station.room.slots)
    return Ready(engine, spec, secrets.values())


async def _unless_stopped(holding: Holding, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` results in; None, and `work` was given up, as soon as there is a reason to stop.

    In this very task: one more for each attempt would cost short tasks a third of their time.
    """
    task, working = asyncio.current_task(), True
    assert task is not None

    def give_up(_: object) -> None:
        if working:  # it may have ended in the same turn of the loop; then nothing of ours must be cancelled
            task.cancel()

    holding.stopped.add_done_callback(give_up)
    try:
        result = await work
        return None if holding.stopped.done() else result
    except asyncio.CancelledError:
        if holding.stopped.done() and task.uncancel() == 0:
            return None
        raise
    finally:
        working = False
        holding.stopped.remove_done_callback(give_up)


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
        index=task.index,
        wanted=partial(station.heartbeat.keeps, holding),
    )


async def _item(station: Station, job: Job, index: int) -> str | None:
    if job.array.manifest is None:
        return None
    try:
        return await station.manifests.get(job.array.manifest, index)
    except (NotFound, StorageError) as error:
        message = f"item {index} of the array cannot be read: {error}"
        raise StartError(message) from error
    except Unavailable as error:
        raise EngineUnavailable(str(error)) from error  # as after the loss of a machine: worth another try
