"""What a newer program wrote is an error that says so."""

from __future__ import annotations

import pytest

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Condition
from runner.errors import StorageError
from runner.model import TaskId
from tests.dynamodb.world import JOB, World, begin, succeed

ANY = Condition("attribute_exists(#pk)")
TASK = TaskId(JOB.id, 0)


@pytest.fixture
async def done(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(JOB)
    await succeed(ledger, await begin(ledger))


async def test_a_job_of_a_newer_version_is_refused(world: World, done: None) -> None:
    await world.table.update(keys.body(JOB.id, 0), {"body": '{"v":99}'}, ANY)
    with pytest.raises(StorageError, match="newer"):
        await world.records().job(JOB.id)


async def test_a_state_of_a_newer_version_is_refused(world: World, done: None) -> None:
    await world.table.update(keys.state(JOB.id), {"v": 99}, ANY)
    with pytest.raises(StorageError, match="version 99"):
        await begin(world.ledger(), index=1)


async def test_an_outcome_of_a_newer_version_is_refused(world: World, done: None) -> None:
    await world.table.update(keys.task(TASK, 1), {"out": '{"v":99}'}, ANY)
    with pytest.raises(StorageError, match="newer"):
        await world.records().task(TASK)
