"""Short words for what the suites do over and over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controller.ports import Records
from runner.array import Array
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome, Status, TaskId, Usage
from runner.ports import Ledger, Queue
from runner.records import Ending, JobRecord, Refusal, TaskRecord, Verdict
from tests.contracts.rigs import EPOCH

# How long a received message is hidden, in seconds.
HIDE = 30.0

# How long a message that is there may take to be received, in seconds.
ARRIVAL = 5.0

# Two hosts, and the second life of one of them.
ANNA = "anna#1"
ANNA_AGAIN = "anna#2"
BERT = "bert#1"


def a_job(size: int = 3, **changes: object) -> Job:
    job = Job(id="job-1", name="a-job", command=("true",), array=Array.of_size(size), created_at=EPOCH)
    return replace(job, **changes)  # type: ignore[arg-type]


async def registered(records: Records, size: int = 3, **changes: object) -> Job:
    job = a_job(size, **changes)
    await records.register(job)
    return job


def a_lease(job: Job, index: int = 0, message: str = "message-1") -> Lease:
    return Lease(TaskId(job.id, index), "default", message, "token", 1, 30.0)


async def ask(
    ledger: Ledger, job: Job, index: int = 0, owner: str = ANNA, message: str = "message-1"
) -> Attempt | Refusal:
    return await ledger.begin(a_lease(job, index, message), job, owner)


async def begin(
    ledger: Ledger, job: Job, index: int = 0, owner: str = ANNA, message: str = "message-1"
) -> Attempt:
    begun = await ask(ledger, job, index, owner, message)
    assert isinstance(begun, Attempt), begun
    return begun


async def refused(
    ledger: Ledger, job: Job, index: int = 0, owner: str = ANNA, message: str = "message-1"
) -> Refusal:
    refusal = await ask(ledger, job, index, owner, message)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def an_outcome(kind: Kind = Kind.SUCCEEDED, **changes: object) -> Outcome:
    outcome = Outcome(
        kind,
        exit_code=0 if kind is Kind.SUCCEEDED else 1,
        usage=Usage(peak_memory=1000, cpu_seconds=0.5),
        started_at=EPOCH + 1,
        finished_at=EPOCH + 3,
    )
    return replace(outcome, **changes)  # type: ignore[arg-type]


async def succeed(ledger: Ledger, attempt: Attempt, **changes: object) -> bool:
    return await ledger.finish(attempt, an_outcome(Kind.SUCCEEDED, **changes), Verdict(Status.SUCCEEDED))


async def fail(ledger: Ledger, attempt: Attempt, reason: str = "", **changes: object) -> bool:
    verdict = Verdict(Status.FAILED, Charge.USER, reason=reason)
    return await ledger.finish(attempt, an_outcome(Kind.FAILED, **changes), verdict)


async def give_back(
    ledger: Ledger,
    attempt: Attempt,
    charge: Charge = Charge.USER,
    delay: float = 0.0,
    memory: int | None = None,
    **changes: object,
) -> bool:
    kind = Kind.FAILED if charge is Charge.USER else Kind.INTERRUPTED
    verdict = Verdict(Status.RUNNABLE, charge, delay=delay, memory=memory)
    return await ledger.finish(attempt, an_outcome(kind, **changes), verdict)


async def give_up(ledger: Ledger, attempt: Attempt) -> bool:
    verdict = Verdict(Status.CANCELLED, reason="cancelled")
    return await ledger.finish(attempt, an_outcome(Kind.CANCELLED), verdict)


async def cancel(records: Records, job: Job, reason: str = "no longer wanted") -> bool:
    return await records.end(job.id, Ending(Status.CANCELLED, reason, EPOCH + 10))


async def send_all(records: Records, job: Job, limit: int = 1_000_000) -> tuple[int, ...]:
    """Say that everything unsent, or `limit` tasks of it, was sent; returns what that was."""
    window = await records.unsent(job.id, (await read(records, job.id)).queued + limit)
    await records.sent(job.id, window)
    return window.indices


async def read(records: Records, job_id: str = "job-1") -> JobRecord:
    record = await records.job(job_id)
    assert record is not None
    return record


async def stored(records: Records, index: int = 0) -> TaskRecord:
    record = await records.task(TaskId("job-1", index))
    assert record is not None
    return record


def task(index: int = 0) -> TaskId:
    return TaskId("job-1", index)


def tasks(count: int) -> list[TaskId]:
    return [task(index) for index in range(count)]


async def take(queue: Queue, limit: int = 10, wait: float = 0.0, hide: float = HIDE) -> Sequence[Lease]:
    return await queue.receive(limit, wait=wait, hide=hide)


async def take_one(queue: Queue, hide: float = HIDE) -> Lease:
    """A message that is there."""
    (lease,) = await take(queue, 1, wait=ARRIVAL, hide=hide)
    return lease


async def take_all(queue: Queue, count: int) -> Sequence[Lease]:
    """`count` messages that are there. One receive may give fewer."""
    taken: list[Lease] = []
    while len(taken) < count:
        leases = await take(queue, count - len(taken), wait=ARRIVAL)
        assert leases, f"{len(taken)} of {count} messages came"
        taken += leases
    return taken
