"""One emulated table, processes that share it, and a wall clock of all that goes with the loop's time.

Emulated: DynamoDB (`tests.dynamodb.embedded`). Nothing waits for real where the loop's time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.array import Array
from runner.aws import Aws
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome, Status, TaskId, Usage
from runner.records import JobRecord, Refusal, Verdict
from tests.aws.items import keys_of
from tests.aws.wrappers import Counting, Dated, Faulty
from tests.dynamodb.embedded import EmbeddedDynamo
from tests.dynamodb.emulator import a_name, create_table

EPOCH = 1_700_000_000.0
LEASE = 30.0

JOB = Job(id="job-1", name="a-job", command=("true",), array=Array.of_size(3), created_at=EPOCH)
SUCCESS = Outcome(
    Kind.SUCCEEDED,
    exit_code=0,
    usage=Usage(peak_memory=1000, cpu_seconds=0.5),
    started_at=EPOCH + 1,
    finished_at=EPOCH + 3,
)
FAILURE = replace(SUCCESS, kind=Kind.FAILED, exit_code=1, tail=("what went wrong",))


class World:
    """`now` can be moved ahead of the loop's time by `skew`."""

    def __init__(self, aws: Aws, name: str) -> None:
        self.name = name
        self.faulty = Faulty(Dated(aws, self.now))
        self.counting = Counting(self.faulty)
        self.table = self.table_of(self.counting)
        self.skew = 0.0
        self._started = asyncio.get_running_loop().time()

    @classmethod
    async def make(cls) -> World:
        aws, name = EmbeddedDynamo(), a_name("world")
        await create_table(aws, name)
        return cls(aws, name)

    def table_of(self, aws: Aws) -> Table:
        return Table(aws, self.name, lambda: 0.5)

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time() - self._started + self.skew

    def ledger(self, aws: Aws | None = None, *, ahead: float = 0.0, **settings: Any) -> DynamoLedger:
        """Another process's, whose clock is so far ahead. Without settings everything is written at once and read
        anew."""
        table = self.table_of(aws) if aws else self.table
        given = {"linger": 0.0, "fresh": 0.0, **settings}
        return DynamoLedger(table, lambda: self.now() + ahead, LEASE, a_name("ledger"), **given)

    def records(self, *, ahead: float = 0.0, **settings: Any) -> DynamoRecords:
        return DynamoRecords(self.table, lambda: self.now() + ahead, a_name("records"), **settings)

    def written(self) -> Sequence[Mapping[str, Any]]:
        """The keys of what was written, in order; not by transactions."""
        return [
            {"pk": key["pk"]["S"], "sk": key["sk"]["S"]}
            for operation, given in self.counting.calls
            for key in keys_of(operation, given)
        ]

    def writes_to(self, prefix: str) -> int:
        return sum(key["pk"].startswith(prefix) for key in self.written())


def a_lease(job: Job = JOB, index: int = 0, message: str = "message-1", receives: int = 1) -> Lease:
    return Lease(TaskId(job.id, index), "default", message, "token", receives, LEASE)


async def ask(
    ledger: DynamoLedger, job: Job = JOB, index: int = 0, owner: str = "anna#1", message: str = "message-1"
) -> Attempt | Refusal:
    return await ledger.begin(a_lease(job, index, message), job, owner)


async def begin(
    ledger: DynamoLedger, job: Job = JOB, index: int = 0, owner: str = "anna#1", message: str = "message-1"
) -> Attempt:
    begun = await ask(ledger, job, index, owner, message)
    assert isinstance(begun, Attempt), begun
    return begun


async def refused(
    ledger: DynamoLedger, job: Job = JOB, index: int = 0, owner: str = "bert#1", message: str = "message-1"
) -> Refusal:
    refusal = await ask(ledger, job, index, owner, message)
    assert isinstance(refusal, Refusal), refusal
    return refusal


async def succeed(ledger: DynamoLedger, attempt: Attempt) -> bool:
    return await ledger.finish(attempt, SUCCESS, Verdict(Status.SUCCEEDED))


async def fail(ledger: DynamoLedger, attempt: Attempt) -> bool:
    return await ledger.finish(attempt, FAILURE, Verdict(Status.FAILED, Charge.USER))


async def give_back(ledger: DynamoLedger, attempt: Attempt) -> bool:
    return await ledger.finish(attempt, FAILURE, Verdict(Status.RUNNABLE, Charge.USER))


async def send_all(records: DynamoRecords, job: Job = JOB) -> None:
    await records.sent(job.id, await records.unsent(job.id, job.array.size))


async def read(records: DynamoRecords, job: Job = JOB) -> JobRecord:
    record = await records.job(job.id)
    assert record is not None
    return record
