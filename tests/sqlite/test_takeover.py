"""Silence is measured by a clock that does not jump: a message that came back too early proves nothing."""

from __future__ import annotations

import time

import pytest

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.model import Attempt, Job, Lease, TaskId
from runner.records import Refusal, RefusalKind

JOB = Job(id="job-1", name="a-job", command=("true",), array=Array.of_size(1))
LEASE = 30.0


class Bench:
    """Anna has the task, and Bert's message was refused once."""

    def __init__(self) -> None:
        self.steady = 1000.0
        database = Database.memory()
        self.ledger = SqliteLedger(database, time.time, LEASE, steady=lambda: self.steady)
        self.records = SqliteRecords(database, time.time)

    async def begin(self, owner: str, message: str = "message-1") -> Attempt | Refusal:
        lease = Lease(TaskId(JOB.id, 0), "default", message, "token", 1, LEASE)
        return await self.ledger.begin(lease, JOB, owner)


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.records.register(JOB)
    await bench.begin("anna#1")
    await bench.begin("bert#1")
    return bench


async def test_a_message_that_comes_back_at_once_takes_nothing_over(bench: Bench) -> None:
    bench.steady += 0.1  # the wall clock was set, or the machine slept: everything hidden shows
    refusal = await bench.begin("bert#1")
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.HELD


async def test_it_is_hidden_for_what_is_left_of_the_time(bench: Bench) -> None:
    bench.steady += 20.0
    refusal = await bench.begin("bert#1")
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after is not None
    assert LEASE < 20.0 + refusal.retry_after < LEASE + 5.0


async def test_after_a_lease_without_a_beat_the_task_is_taken_over(bench: Bench) -> None:
    bench.steady += LEASE
    assert isinstance(await bench.begin("bert#1"), Attempt)


async def test_a_restart_of_the_machine_ends_every_silence(bench: Bench) -> None:
    bench.steady = 5.0  # began anew
    assert isinstance(await bench.begin("bert#1"), Attempt)


async def test_a_refused_duplicate_is_hidden_twice_as_long_each_time_its_owner_lived(bench: Bench) -> None:
    hidden = []
    for _ in range(3):
        await bench.ledger.touch([Attempt(TaskId(JOB.id, 0), 1, 1, "anna#1", 1)])
        bench.steady += 1000.0
        refusal = await bench.begin("bert#1")
        assert isinstance(refusal, Refusal)
        hidden.append(refusal.retry_after)
    assert hidden == [66.0, 132.0, 264.0]
