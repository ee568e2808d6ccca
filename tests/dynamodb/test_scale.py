"""What must not depend on how large a job is, or how many there are. Counted in items read."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.aws import Aws, Reply
from runner.errors import BadInput
from runner.model import Job, Status
from runner.records import Ending
from tests.dynamodb.emulator import a_name
from tests.dynamodb.world import (
    EPOCH,
    JOB,
    World,
    begin,
    fail,
    give_back,
    read,
    send_all,
    succeed,
)

LARGE = replace(JOB, array=Array.of_size(4000))  # four partitions
WIDE = replace(JOB, array=Array((range(5, 5000, 7), range(100_000, 107_000)), total=200_000))


class Reading:
    """Counts the items that were read, by the beginning of the partition's key."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.items: Counter[str] = Counter()

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        found = [*reply.get("Items", ()), *([reply["Item"]] if "Item" in reply else [])]
        for items in reply.get("Responses", {}).values():
            found.extend(items)
        self.items.update(item["pk"]["S"].partition("#")[0] for item in found if "pk" in item)
        return reply

    async def close(self) -> None: ...


async def run(ledger: DynamoLedger, job: Job, successes: range, failures: range = range(0)) -> None:
    for index in failures:
        await fail(ledger, await begin(ledger, job, index))
    attempts = await asyncio.gather(*(begin(ledger, job, index) for index in successes))
    await asyncio.gather(*(succeed(ledger, attempt) for attempt in attempts))


def reading(world: World) -> tuple[Reading, DynamoRecords]:
    counted = Reading(world.counting)
    return counted, DynamoRecords(world.table_of(counted), world.now, a_name("reader"))


async def test_tasks_of_many_partitions_are_listed_by_index(
    ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(LARGE)
    begun = [*range(0, 100, 3), *range(1000, 1200, 7), 3999]
    for index in begun:
        await begin(ledger, LARGE, index)
    listed = [task.task.index for task in await records.tasks(LARGE.id)]
    assert listed == begun


async def test_pages_of_many_partitions_fit_together(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(LARGE)
    await run(ledger, LARGE, range(300))
    pages, last = [], -1
    while page := await records.tasks(LARGE.id, after=last, limit=41):
        pages += [task.task.index for task in page]
        last = pages[-1]
    assert pages == list(range(300))


async def test_what_is_outstanding_of_many_partitions(ledger: DynamoLedger, records: DynamoRecords) -> None:
    await records.register(WIDE)
    await send_all(records, WIDE)
    indices = list(WIDE.array)
    done = {*indices[:500], *indices[700:1000], indices[-1]}
    attempts = await asyncio.gather(*(begin(ledger, WIDE, index) for index in sorted(done)))
    await asyncio.gather(*(succeed(ledger, attempt) for attempt in attempts))
    found, last = [], -1
    while page := await records.outstanding(WIDE.id, 1000, last):
        found += page
        last = page[-1]
    assert found == [index for index in indices if index not in done]


async def test_looking_for_failures_does_not_read_the_successes(world: World, ledger: DynamoLedger) -> None:
    counted, records = reading(world)
    await records.register(LARGE)
    await run(ledger, LARGE, successes=range(10, 510), failures=range(10))
    counted.items.clear()
    statuses = {Status.FAILED, Status.RUNNABLE, Status.RUNNING}
    assert len(await records.tasks(LARGE.id, statuses=statuses)) == 10
    assert counted.items["T"] == 10


async def test_what_runs_is_found_without_reading_the_successes(world: World, ledger: DynamoLedger) -> None:
    counted, records = reading(world)
    await records.register(LARGE)
    await run(ledger, LARGE, successes=range(500))
    await begin(ledger, LARGE, 2000)
    await ledger.flush()
    counted.items.clear()
    running = await records.tasks(LARGE.id, statuses={Status.RUNNING})
    assert ([task.task.index for task in running], counted.items["T"]) == ([2000], 1)


async def test_a_jobs_record_costs_the_same_however_many_tasks_it_has(
    world: World, ledger: DynamoLedger
) -> None:
    counted, records = reading(world)
    await records.register(LARGE)
    await run(ledger, LARGE, successes=range(500))
    await records.job(LARGE.id)
    counted.items.clear()
    await records.job(LARGE.id)
    assert counted.items.total() == 2  # the state, and the sums of the one process


async def test_ending_and_reopening_touch_no_task(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(LARGE)
    await send_all(records, LARGE)
    await run(ledger, LARGE, successes=range(20), failures=range(20, 40))
    before = len(world.written())
    await records.end(LARGE.id, Ending(Status.CANCELLED, "", EPOCH))
    assert await records.reopen(LARGE.id, EPOCH) == 3980
    assert len(world.written()) - before == 3


async def test_what_failed_is_sent_again_without_reading_the_successes(
    world: World, ledger: DynamoLedger
) -> None:
    counted, records = reading(world)
    await records.register(LARGE)
    await send_all(records, LARGE)
    await run(ledger, LARGE, successes=range(10, 510), failures=range(10))
    await records.reopen(LARGE.id, EPOCH)
    counted.items.clear()
    assert (await records.unsent(LARGE.id, LARGE.array.size)).indices == tuple(range(10))
    assert counted.items["T"] == 10


async def finished(ledger: DynamoLedger, records: DynamoRecords, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        job = replace(JOB, id=f"done-{number}", array=Array.of_size(1))
        await records.register(job)
        await succeed(ledger, await begin(ledger, job))
    await records.tidy()


async def test_the_unfinished_are_found_without_reading_the_finished(
    world: World, ledger: DynamoLedger
) -> None:
    counted, records = reading(world)
    await records.register(JOB)
    await finished(ledger, records, 30)
    counted.items.clear()
    assert [record.job.id for record in await records.jobs(unfinished=True)] == [JOB.id]
    assert counted.items.total() <= 3


async def test_a_short_listing_costs_the_same_however_many_jobs_there_are(
    world: World, ledger: DynamoLedger
) -> None:
    costs = []
    counted, records = reading(world)
    for first in (0, 40):
        await finished(ledger, records, 40, first)
        counted.items.clear()
        assert len(await records.jobs(limit=5)) == 5
        costs.append(counted.items.total())
    assert costs[0] == costs[1] <= 20


async def test_the_record_of_a_job_that_is_over_is_one_item(world: World, ledger: DynamoLedger) -> None:
    counted, records = reading(world)
    await finished(ledger, records, 1)
    counted.items.clear()
    record = await records.job("done-0")
    assert record is not None
    assert (record.status, record.task_seconds, counted.items.total()) == (Status.SUCCEEDED, 2.0, 1)


def test_a_cancelled_job_leaves_the_unfinished_when_nothing_more_can_come() -> None:
    async def main() -> list[int]:
        world = await World.make()
        counted, records = reading(world)
        await records.register(JOB)
        await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
        read_ = []
        for _ in range(3):
            counted.items.clear()
            await records.tidy()
            read_.append(counted.items["J"])
            await asyncio.sleep(61.0)
        return read_

    first, _, last = virtual_time.run(main())
    assert (first > 0, last) == (True, 0)


async def test_a_long_job_is_stored_in_pieces(records: DynamoRecords, world: World) -> None:
    job = replace(JOB, env={"LONG": "x" * 1_000_000})
    await records.register(job)
    assert (await read(world.records(), job)).job == job


async def test_a_job_too_long_to_be_stored_is_refused_before_anything_is_written(
    records: DynamoRecords,
) -> None:
    with pytest.raises(BadInput, match="at most"):
        await records.register(replace(JOB, env={"LONG": "x" * 4_000_000}))
    assert not await records.jobs()


async def test_history_of_a_task_is_read_without_that_of_others(world: World, ledger: DynamoLedger) -> None:
    counted, records = reading(world)
    await records.register(JOB)
    for index in (0, 1):
        for _ in range(3):
            await give_back(ledger, await begin(ledger, index=index))
    counted.items.clear()
    task = (await records.tasks(JOB.id, limit=1))[0].task
    assert [each.number for each in await records.attempts(task)] == [1, 2, 3]
    assert counted.items["A"] == 2
