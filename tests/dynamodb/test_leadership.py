"""Who leads, and whether somebody is seen to, where clocks are wrong: the service's clock tells."""

from __future__ import annotations

import pytest

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from tests.dynamodb.world import World

LEASE = 30.0

wrong = pytest.mark.parametrize("ahead", [300.0, -300.0])


async def led(ledger: DynamoLedger) -> bool:
    return (await ledger.supervision()).led


@wrong
async def test_an_agent_whose_clock_is_wrong_sees_that_somebody_leads(
    world: World, records: DynamoRecords, ahead: float
) -> None:
    await records.lead("one", LEASE)
    assert await led(world.ledger(ahead=ahead))


@wrong
async def test_it_sees_that_nobody_does_once_the_lease_is_over(
    world: World, records: DynamoRecords, ahead: float
) -> None:
    await records.lead("one", LEASE)
    world.skew += LEASE + 1.0
    assert not await led(world.ledger(ahead=ahead))


@wrong
async def test_it_sees_at_once_that_the_leader_resigned(
    world: World, records: DynamoRecords, ahead: float
) -> None:
    await records.lead("one", LEASE)
    await records.resign("one")
    assert not await led(world.ledger(ahead=ahead))


@wrong
async def test_one_whose_clock_is_wrong_takes_the_lead_from_nobody(
    world: World, records: DynamoRecords, ahead: float
) -> None:
    await records.lead("one", LEASE)
    assert not await world.records(ahead=ahead).lead("two", LEASE)


@wrong
async def test_one_whose_clock_was_wrong_leads_no_longer_than_others(
    world: World, records: DynamoRecords, ahead: float
) -> None:
    await world.records(ahead=ahead).lead("one", LEASE)
    assert not await records.lead("two", LEASE)
    world.skew += LEASE + 1.0
    assert await records.lead("two", LEASE)


@wrong
async def test_what_a_leader_whose_clock_is_wrong_says_is_heard(
    world: World, ledger: DynamoLedger, ahead: float
) -> None:
    leader = world.records(ahead=ahead)
    await leader.lead("one", LEASE)
    await leader.publish("one", 5)
    assert (await ledger.supervision()).demand == 5


@wrong
async def test_what_it_says_after_its_lease_is_not(world: World, ledger: DynamoLedger, ahead: float) -> None:
    leader = world.records(ahead=ahead)
    await leader.lead("one", LEASE)
    world.skew += LEASE + 1.0
    await leader.publish("one", 5)
    assert (await ledger.supervision()).demand == 0
