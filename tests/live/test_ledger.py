"""The ledger's contract suites over DynamoDB itself, in one table that is emptied after each test.

Not the real thing: queue and clock, which are in memory and moved by hand.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from controller.ports import Records
from runner.adapters.boto import BotoAws
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.ports import Ledger
from runner.settings import FleetSettings
from tests.aws.wrappers import Dated
from tests.contracts.aws_rig import AwsRig, ExactLedger
from tests.contracts.rigs import LEASE, Clock, Rig
from tests.contracts.test_beats_contract import *  # noqa: F403
from tests.contracts.test_counts_contract import *  # noqa: F403
from tests.contracts.test_enqueueing_contract import *  # noqa: F403
from tests.contracts.test_finish_contract import *  # noqa: F403
from tests.contracts.test_ledger_contract import *  # noqa: F403
from tests.contracts.test_listing_contract import *  # noqa: F403
from tests.contracts.test_records_contract import *  # noqa: F403
from tests.contracts.test_reopen_contract import *  # noqa: F403
from tests.contracts.test_takeover_contract import *  # noqa: F403
from tests.sqs.rig import SqsSide


class LiveRig(AwsRig):
    """Its processes have names that none had in an earlier run: for ten minutes DynamoDB takes a transaction of the
    same name for the same transaction."""

    def __init__(self, region: str, table: str, clock: Clock, sqs: SqsSide) -> None:
        super().__init__("is AWS's", lambda: Dated(BotoAws(region), clock), table, clock, sqs)
        self._region = region

    def ledger(self) -> Ledger:
        table = Table(self._aws, self._table, lambda: 0.5)
        return ExactLedger(table, self._clock, LEASE, secrets.token_hex(5), linger=0.0, fresh=0.0)

    def records(self) -> Records:
        return DynamoRecords(Table(self._aws, self._table, lambda: 0.5), self._clock, secrets.token_hex(5))

    async def peer(self) -> Rig:
        peer = LiveRig(self._region, self._table, self._clock, self._sqs)
        self._peers.append(peer)
        return peer


@pytest.fixture
def empty_table(table: str, clients: Callable[[str], Any]) -> Iterator[str]:
    yield table
    dynamodb = clients("dynamodb")
    for page in dynamodb.get_paginator("scan").paginate(
        TableName=table, ProjectionExpression="pk, sk", ConsistentRead=True
    ):
        for key in page["Items"]:
            dynamodb.delete_item(TableName=table, Key=key)


@pytest.fixture
async def rig(fleet: FleetSettings, empty_table: str) -> AsyncIterator[Rig]:
    clock = Clock()
    made = LiveRig(fleet.region, empty_table, clock, await SqsSide.make(clock))
    yield made
    await made.close()


@pytest.fixture
def ledger(rig: Rig) -> Ledger:
    return rig.ledger()


@pytest.fixture
def records(rig: Rig) -> Records:
    return rig.records()
