"""A cancel that a new round lifted before an attempt could stop for it: its task is sent again on its own."""

from __future__ import annotations

from dataclasses import replace

from runner.adapters.dynamodb import keys, recount, stored
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.model import Attempt, Kind, Outcome, Status
from runner.records import Ending, Verdict
from tests.dynamodb.world import EPOCH, JOB, World, begin, read, send_all, succeed

SIX = replace(JOB, array=Array.of_size(6))
STOPPED = Outcome(Kind.CANCELLED, reason="no longer wanted")


async def give_up(ledger: DynamoLedger, attempt: Attempt) -> bool:
    return await ledger.finish(attempt, STOPPED, Verdict(Status.CANCELLED))


async def opened_anew(world: World, ledger: DynamoLedger, *running: int) -> list[Attempt]:
    """All six were sent, some run, the job was cancelled and opened again; of that nothing was sent again yet."""
    records = world.records()
    await records.register(SIX)
    await send_all(records, SIX)
    attempts = [await begin(ledger, SIX, index) for index in running]
    await records.end(SIX.id, Ending(Status.CANCELLED, "no longer wanted", EPOCH))
    await records.reopen(SIX.id, EPOCH)
    return attempts


async def send(records: DynamoRecords, most: int = 6) -> tuple[int, ...]:
    window = await records.unsent(SIX.id, most)
    await records.sent(SIX.id, window)
    return window.indices


async def test_one_that_stops_before_the_round_came_to_it_is_sent_with_the_others(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    (attempt,) = await opened_anew(world, ledger, 3)
    await give_up(ledger, attempt)
    assert [await send(records, most) for most in (2, 4, 6, 6)] == [(0, 1), (2, 3), (4, 5), ()]


async def test_one_that_stops_behind_the_round_is_sent_after_the_others(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    (attempt,) = await opened_anew(world, ledger, 0)
    assert await send(records, 4) == (1, 2, 3)
    await give_up(ledger, attempt)
    assert [await send(records), await send(records)] == [(4, 5, 0), ()]


async def stopped_behind(world: World, ledger: DynamoLedger) -> None:
    (attempt,) = await opened_anew(world, ledger, 0)
    await send(world.records())
    await give_up(ledger, attempt)


async def test_it_is_sent_once_though_two_say_that_it_was(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await stopped_behind(world, ledger)
    windows = [await each.unsent(SIX.id, 6) for each in (records, world.records())]
    for window in windows:
        await records.sent(SIX.id, window)
    assert [window.indices for window in windows] == [(0,), (0,)]
    assert (await read(records, SIX)).queued == 6
    assert await send(records) == ()


async def test_one_that_an_old_message_began_is_not_sent_and_counts_as_queued(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await stopped_behind(world, ledger)
    await begin(ledger, SIX, 0)
    assert await send(records) == ()
    assert (await read(records, SIX)).queued == 6


async def test_a_recount_counts_it_as_well(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await stopped_behind(world, ledger)
    (pk,) = keys.all_sums(SIX.id, 1)
    for item in [item async for item in world.table.query(pk)]:
        await world.table.delete(Key(item["pk"], item["sk"]))
    standing = await stored.read(world.table, SIX.id)
    assert standing is not None
    await recount.recount(world.table, standing, None)
    assert await send(records) == (0,)


async def test_one_that_was_overlooked_is_found_when_nothing_else_is_left(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await stopped_behind(world, ledger)
    for index in range(1, 6):
        await succeed(ledger, await begin(ledger, SIX, index))
    await stored.change(world.table, SIX.id, "other.1", lambda found: replace(found, lifted_sent=9))
    assert await send(records) == ()
    assert await records.outstanding(SIX.id, 10) == []
    assert await send(records) == (0,)


async def test_one_that_began_before_the_cursor_passed_it_is_outstanding_once_sent(
    ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(SIX)
    await give_up(ledger, await begin(ledger, SIX, 0))
    assert await records.outstanding(SIX.id, 10) == []
    assert await send(records, 1) == (0,)
    assert await records.outstanding(SIX.id, 10) == [0]
