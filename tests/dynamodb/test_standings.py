"""How often a job's state is read."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.model import Attempt, Status
from runner.records import Ending, RefusalKind
from tests.dynamodb.world import EPOCH, JOB, World, ask, begin, fail, refused

HUNDRED = replace(JOB, array=Array.of_size(100))


def reads_of_the_state(world: World) -> int:
    return sum(given["Key"]["sk"]["S"] == "state" for given in world.counting.given("get_item"))


async def test_beginnings_that_come_together_share_a_read(world: World, records: DynamoRecords) -> None:
    await records.register(HUNDRED)
    before = reads_of_the_state(world)
    ledger = world.ledger()
    await asyncio.gather(*(begin(ledger, HUNDRED, index) for index in range(100)))
    assert reads_of_the_state(world) - before == 1


async def test_who_comes_while_a_read_is_under_way_waits_for_another(
    world: World, records: DynamoRecords
) -> None:
    await records.register(JOB)
    ledger = world.ledger()
    early = asyncio.create_task(ask(ledger))
    while not reads_of_the_state(world):
        await asyncio.sleep(0)
    await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
    assert (await refused(ledger, index=1)).kind is RefusalKind.CANCELLED
    await early


def test_a_stream_of_beginnings_reads_the_state_once_a_second() -> None:
    async def main() -> int:
        world = await World.make()
        await world.records().register(HUNDRED)
        ledger = world.ledger(fresh=1.0)
        for index in range(100):
            await begin(ledger, HUNDRED, index)
            await asyncio.sleep(0.05)
        return reads_of_the_state(world)

    assert virtual_time.run(main()) <= 6


async def test_nobody_is_refused_by_what_was_read_a_moment_ago(world: World, records: DynamoRecords) -> None:
    ledger = world.ledger(fresh=3600.0)
    await records.register(JOB)
    await fail(ledger, await begin(ledger))
    await refused(ledger)  # now it knows the first round
    await records.reopen(JOB.id, EPOCH)
    assert isinstance(await ask(ledger), Attempt)


async def test_a_task_of_a_job_just_reopened_begins(world: World, records: DynamoRecords) -> None:
    ledger = world.ledger(fresh=3600.0)
    await records.register(JOB)
    await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
    await refused(ledger)
    await records.reopen(JOB.id, EPOCH)
    assert isinstance(await ask(ledger), Attempt)
