from __future__ import annotations

import pytest

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from tests.dynamodb.world import World


@pytest.fixture
async def world() -> World:
    return await World.make()


@pytest.fixture
def ledger(world: World) -> DynamoLedger:
    return world.ledger()


@pytest.fixture
def records(world: World) -> DynamoRecords:
    return world.records()
