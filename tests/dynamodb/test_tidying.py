"""Reading commands read; what has to be seen to, whoever leads sees to."""

from __future__ import annotations

import asyncio

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Condition
from runner.model import Status, TaskId
from runner.records import Counts, Ending
from tests.dynamodb.world import EPOCH, JOB, World, begin, give_back, read, send_all, succeed

DAY = 86_400.0
WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")


def test_listing_writes_nothing_whatever_the_readers_history() -> None:
    async def main() -> tuple[int, Status]:
        world = await World.make()
        records = world.records()
        await records.register(JOB)
        await send_all(records)
        await succeed(world.ledger(), await begin(world.ledger()))
        await asyncio.sleep(2 * DAY)
        world.counting.calls.clear()
        reader = world.records(history=DAY, patience=1.0)
        for _ in range(3):
            await reader.jobs(unfinished=True)
            await reader.jobs()
            await asyncio.sleep(60.0)
        written = sum(operation in WRITES for operation, _ in world.counting.calls)
        return written, (await read(records)).status

    assert virtual_time.run(main()) == (0, Status.RUNNING)


async def test_listing_leaves_a_job_that_is_over_where_it_stands(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    for index in JOB.array:
        await succeed(ledger, await begin(ledger, index=index))
    before = len(world.written())
    assert not await records.jobs(unfinished=True)
    assert len(world.written()) == before


async def test_tidying_tells_the_unfinished_jobs(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(JOB)
    before = [record.job.id for record in await records.tidy()]
    await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
    assert (before, await records.tidy()) == ([JOB.id], [])


def test_a_job_that_outlived_its_history_says_which_setting_ended_it() -> None:
    async def main() -> str:
        world = await World.make()
        records = world.records(history=30 * DAY)
        await records.register(JOB)
        await asyncio.sleep(31 * DAY)
        await records.tidy()
        ending = (await read(records)).ending
        assert ending is not None
        return ending.reason

    reason = virtual_time.run(main())
    assert "30d after it was submitted" in reason
    assert "fleet.history" in reason


async def cancelled_though_nothing_was_counted(world: World, records: DynamoRecords, *, ended: bool) -> None:
    """Of one task's beginning and, if it `ended`, of its success."""
    await records.register(JOB)
    await send_all(records)
    dead = world.ledger(linger=60.0)
    attempt = await begin(dead)
    if ended:
        finishing = asyncio.create_task(succeed(dead, attempt))
        while (await records.tasks(JOB.id))[0].status is Status.RUNNING:
            await asyncio.sleep(0)
        finishing.cancel()
    await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))


async def test_a_job_that_was_cancelled_is_counted_anew_before_its_counts_stand_for_ever(
    world: World,
) -> None:
    records = world.records(patience=0.0)
    await cancelled_though_nothing_was_counted(world, records, ended=True)
    before = (await read(records)).counts
    await records.tidy()
    assert (before, (await read(records)).counts) == (Counts(cancelled=3), Counts(succeeded=1, cancelled=2))


async def test_it_is_counted_anew_once_and_then_leaves_the_list(world: World) -> None:
    records = world.records(patience=0.0)
    await cancelled_though_nothing_was_counted(world, records, ended=True)
    before = len(world.written())
    for _ in range(3):
        await records.tidy()
    written = [key["pk"].partition("#")[0] for key in world.written()[before:]]
    assert written == ["S", "J", "U"]


async def test_a_job_of_which_a_task_turns_out_to_run_is_not_over(world: World) -> None:
    records = world.records(patience=0.0)
    await cancelled_though_nothing_was_counted(world, records, ended=False)
    await records.tidy()
    assert [record.counts.running for record in await records.tidy()] == [1]


async def test_a_record_that_cannot_be_read_keeps_no_other_job_from_being_seen_to(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await send_all(records)
    for index in JOB.array:
        await give_back(ledger, await begin(ledger, index=index))
        await succeed(ledger, await begin(ledger, index=index))
    # As if one end had never been counted, and its record were a newer program's.
    sums = next(key for key in world.written() if key["pk"].startswith("S#"))
    present = Condition("attribute_exists(#pk)")
    await world.table.update(keys.Key(sums["pk"], sums["sk"]), {"b": 9}, present)
    await world.table.update(keys.task(TaskId(JOB.id, 0), 1), {"out": '{"v":99}'}, present)
    assert [record.job.id for record in await records.tidy()] == []
