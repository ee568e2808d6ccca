"""Whether somebody leads, seen by hosts whose clocks are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from tests.dynamodb.world import World

LEASE = 30.0
STEP = 5.0
AHEAD = 300.0


def seen_by_one_ahead(
    act: Callable[[World, DynamoRecords, DynamoLedger], Awaitable[bool]],
) -> bool:
    """What `act` says; the ledger's clock is five minutes ahead of that of the records."""

    async def main() -> bool:
        world = await World.make()
        ahead = DynamoLedger(world.table, lambda: world.now() + AHEAD, 30.0, "ahead")
        return await act(world, world.records(), ahead)

    return virtual_time.run(main())


async def led(ledger: DynamoLedger) -> bool:
    return (await ledger.supervision()).led


async def some_steps(records: DynamoRecords, ledger: DynamoLedger) -> None:
    for _ in range(3):
        await records.lead("one", LEASE)
        await led(ledger)
        await asyncio.sleep(STEP)


def test_an_agent_whose_clock_is_five_minutes_ahead_sees_that_somebody_leads() -> None:
    async def act(world: World, records: DynamoRecords, ledger: DynamoLedger) -> bool:
        await some_steps(records, ledger)
        return await led(ledger)

    assert seen_by_one_ahead(act)


def test_one_that_looks_once_a_minute_sees_it_too() -> None:
    async def act(world: World, records: DynamoRecords, ledger: DynamoLedger) -> bool:
        for _ in range(13):
            await records.lead("one", LEASE)
            await asyncio.sleep(STEP)
        await led(ledger)
        for _ in range(13):
            await records.lead("one", LEASE)
            await asyncio.sleep(STEP)
        return await led(ledger)

    assert seen_by_one_ahead(act)


def test_it_sees_that_nobody_does_once_nothing_has_changed_for_a_lease() -> None:
    async def act(world: World, records: DynamoRecords, ledger: DynamoLedger) -> bool:
        await some_steps(records, ledger)
        await asyncio.sleep(LEASE + 1.0)
        return await led(ledger)

    assert not seen_by_one_ahead(act)


def test_it_sees_at_once_that_the_leader_resigned() -> None:
    async def act(world: World, records: DynamoRecords, ledger: DynamoLedger) -> bool:
        await some_steps(records, ledger)
        await records.resign("one")
        return await led(ledger)

    assert not seen_by_one_ahead(act)


def test_a_leader_that_died_before_the_first_look_does_not_lead() -> None:
    async def act(world: World, records: DynamoRecords, ledger: DynamoLedger) -> bool:
        await records.lead("one", LEASE)
        await asyncio.sleep(LEASE + 1.0)
        return await led(ledger) or await led(ledger)

    assert not seen_by_one_ahead(act)
