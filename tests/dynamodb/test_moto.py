"""A job's life over another emulator, through boto: what two of them agree on is less likely to be a peculiarity.

Emulated: DynamoDB by moto's server, in this process.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from moto.server import ThreadedMotoServer

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.errors import Conflict
from runner.model import Attempt, Status, TaskId
from runner.records import Counts, Ending, RefusalKind
from tests.dynamodb.emulator import a_name, connect, create_table
from tests.dynamodb.world import (
    EPOCH,
    JOB,
    World,
    ask,
    begin,
    fail,
    give_back,
    read,
    refused,
    send_all,
    succeed,
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
async def world(server: str) -> AsyncIterator[World]:
    aws, name = connect(server), a_name("moto")
    await create_table(aws, name)
    yield World(aws, name)
    await aws.close()


async def test_a_job_runs_to_its_end(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(JOB)
    await send_all(records)
    for index in JOB.array:
        await succeed(ledger, await begin(ledger, index=index))
    record = await read(records)
    assert (record.status, record.counts, record.queued) == (Status.SUCCEEDED, Counts(succeeded=3), 0)
    assert not await records.jobs(unfinished=True)


async def test_attempts_follow_each_other(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(JOB)
    await give_back(ledger, await begin(ledger))
    second = await begin(ledger)
    await fail(ledger, second)
    assert [await fail(ledger, second), await succeed(ledger, second)] == [True, False]
    assert [each.number for each in await records.attempts(TaskId(JOB.id, 0))] == [1, 2]


async def test_a_round_is_opened_and_sent_again(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(JOB)
    await send_all(records)
    await fail(ledger, await begin(ledger, index=1))
    await records.end(JOB.id, Ending(Status.CANCELLED, "why", EPOCH))
    assert (await refused(ledger)).kind is RefusalKind.CANCELLED
    assert await records.reopen(JOB.id, EPOCH) == 3
    assert (await records.unsent(JOB.id, 10)).indices == (0, 1, 2)


async def test_a_silent_owner_is_taken_over_from(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    held = await begin(ledger, owner="anna#1")
    await ledger.touch([held])
    refusal = await refused(ledger, owner="bert#1")
    world.skew += refusal.retry_after or 0.0
    assert isinstance(await ask(ledger, owner="bert#1"), Attempt)
    assert list(await ledger.touch([held])) == [held]


async def test_a_key_used_for_something_else_is_a_conflict(records: DynamoRecords) -> None:
    job = replace(JOB, idempotency_key="key")
    await records.register(job)
    assert (await records.register(replace(job, id="job-2")))[0].job.id == JOB.id
    with pytest.raises(Conflict):
        await records.register(replace(job, id="job-3", command=("false",)))


async def test_one_leads(ledger: DynamoLedger, records: DynamoRecords) -> None:
    assert [await records.lead("one", 60.0), await records.lead("two", 60.0)] == [True, False]
    await records.publish("one", 5, "note")
    assert (await ledger.supervision()).note == "note"


async def test_a_read_says_when_it_was_by_the_services_clock(server: str, world: World) -> None:
    aws = connect(server)
    before = time.time()
    read = await Table(aws, world.name, lambda: 0.5).dated(keys.LEADER, never)
    await aws.close()
    assert int(before) <= read.at <= time.time()


def never() -> float:
    pytest.fail("it does not say")
