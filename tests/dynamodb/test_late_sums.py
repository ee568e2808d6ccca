"""A round that is opened before all that ended in the one before was counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.model import Status
from tests.dynamodb.world import EPOCH, JOB, World, begin, fail, read, send_all, succeed

SIX = replace(JOB, array=Array.of_size(6))


async def failed_uncounted(world: World, *indices: int) -> DynamoLedger:
    """These tasks' records say that they failed, and the sums do not yet."""
    ledger = world.ledger(linger=60.0)
    for index in indices:
        finishing = asyncio.create_task(fail(ledger, await begin(ledger, SIX, index)))
        while (record := (await world.records().tasks(SIX.id, after=index - 1))[0]).status is Status.RUNNING:
            await asyncio.sleep(0)
        assert record.status is Status.FAILED
        finishing.cancel()
    return ledger


async def sent(world: World) -> None:
    records = world.records()
    await records.register(SIX)
    await send_all(records, SIX)


async def send(records: DynamoRecords, most: int) -> tuple[int, ...]:
    window = await records.unsent(SIX.id, most)
    await records.sent(SIX.id, window)
    return window.indices


async def test_what_no_sum_tells_of_yet_is_reason_enough_for_a_round(
    world: World, records: DynamoRecords
) -> None:
    await sent(world)
    await failed_uncounted(world, 1, 2)
    assert await records.reopen(SIX.id, EPOCH) == 2
    assert await send(records, 6) == (1,)


async def test_each_look_sends_one_though_no_sum_ever_tells_of_them(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await sent(world)
    await failed_uncounted(world, 1, 2)
    for index in (0, 3, 4, 5):
        await succeed(ledger, await begin(ledger, SIX, index))
    await records.reopen(SIX.id, EPOCH)
    found: list[int] = []
    for _ in range(2):  # no more than are left may be on the queue, and these seem to be there
        found += await send(records, 2)
        await succeed(ledger, await begin(ledger, SIX, found[-1]))
    assert found == [1, 2]
    assert (await read(records, SIX)).status is Status.SUCCEEDED


async def test_once_they_are_counted_all_of_them_are_sent(world: World, records: DynamoRecords) -> None:
    await sent(world)
    late = await failed_uncounted(world, 1, 2, 3)
    await records.reopen(SIX.id, EPOCH)
    await late.flush()
    assert (await read(records, SIX)).queued == 3
    assert await send(records, 6) == (1, 2, 3)
    assert (await read(records, SIX)).queued == 5
    assert await send(records, 6) == ()
    assert (await read(records, SIX)).queued == 6


async def test_no_more_are_sent_than_may_be_while_nobody_knows_how_many_are_to_be_sent_again(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(SIX)
    await send_first(records, 3)
    await fail(ledger, await begin(ledger, SIX, 0))
    await records.reopen(SIX.id, EPOCH)
    assert await send(records, 3) == (0,)
    assert [await send(records, 3), await send(records, 4)] == [(), (3,)]


async def send_first(records: DynamoRecords, count: int) -> None:
    await records.sent(SIX.id, await records.unsent(SIX.id, count))
