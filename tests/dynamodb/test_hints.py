"""Hints say where to look for what ended without success, and spare looking where it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.aws import Trouble
from runner.errors import Unavailable
from runner.model import Charge, Job, Status
from runner.records import Ending, Verdict
from tests.aws.wrappers import fails
from tests.dynamodb.test_scale import Reading, reading
from tests.dynamodb.world import (
    EPOCH,
    FAILURE,
    JOB,
    World,
    begin,
    fail,
    give_back,
    refused,
    send_all,
    succeed,
)

LARGE = replace(JOB, array=Array.of_size(1000))
FAILED = 120


async def failed(ledger: DynamoLedger, indices: range, job: Job = LARGE) -> None:
    attempts = await asyncio.gather(*(begin(ledger, job, index) for index in indices))
    await asyncio.gather(*(fail(ledger, attempt) for attempt in attempts))


async def indices(
    records: DynamoRecords, statuses: Collection[Status], job: Job = LARGE, limit: int = 1000
) -> list[int]:
    return [task.task.index for task in await records.tasks(job.id, statuses=statuses, limit=limit)]


@pytest.fixture
async def counted(world: World, ledger: DynamoLedger) -> tuple[Reading, DynamoRecords]:
    """Many failed, and of three that are to be tried again the first is 500."""
    counted, records = reading(world)
    await records.register(LARGE)
    await send_all(records, LARGE)
    await failed(ledger, range(FAILED))
    for index in (500, 600, 700):
        await give_back(ledger, await begin(ledger, LARGE, index))
    counted.items.clear()
    return counted, records


async def test_one_that_is_tried_again_is_found_without_reading_those_that_failed(
    counted: tuple[Reading, DynamoRecords],
) -> None:
    read, records = counted
    assert await indices(records, {Status.RUNNABLE}, limit=1) == [500]
    assert read.items["T"] == 1


async def test_those_that_failed_are_found_without_reading_what_is_tried_again(
    counted: tuple[Reading, DynamoRecords],
) -> None:
    read, records = counted
    assert await indices(records, {Status.FAILED}) == list(range(FAILED))
    assert read.items["T"] == FAILED


async def test_what_failed_after_it_was_tried_again_is_not_read_for_what_is_to_be(
    counted: tuple[Reading, DynamoRecords], ledger: DynamoLedger
) -> None:
    read, records = counted
    for index in (500, 600):
        await fail(ledger, await begin(ledger, LARGE, index))
    read.items.clear()
    assert await indices(records, {Status.RUNNABLE}) == [700]
    assert read.items["T"] == 1


async def test_what_a_new_round_opened_is_found(counted: tuple[Reading, DynamoRecords]) -> None:
    _, records = counted
    await records.reopen(LARGE.id, EPOCH)
    assert await indices(records, {Status.RUNNABLE}) == [*range(FAILED), 500, 600, 700]


async def test_what_an_ending_cancelled_is_found(counted: tuple[Reading, DynamoRecords]) -> None:
    _, records = counted
    await records.end(LARGE.id, Ending(Status.CANCELLED, "", EPOCH))
    assert await indices(records, {Status.CANCELLED}) == [500, 600, 700]


async def test_what_runs_again_is_found(
    world: World, counted: tuple[Reading, DynamoRecords], ledger: DynamoLedger
) -> None:
    _, records = counted
    await begin(world.ledger(linger=60.0), LARGE, 600)  # which no sum tells of yet
    assert await indices(records, {Status.RUNNING}) == [600]


async def taken_over(world: World, ledger: DynamoLedger) -> None:
    await refused(ledger, owner="bert#1")
    world.skew += 40.0
    await begin(ledger, owner="bert#1")


async def test_a_late_end_of_an_earlier_attempt_hides_nothing(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    first = await begin(ledger)
    await taken_over(world, ledger)
    second = replace(first, number=2, owner="bert#1")
    await give_back(ledger, second)
    assert not await fail(world.ledger(), first)
    assert await indices(records, {Status.RUNNABLE}, JOB) == [0]


async def test_of_two_ends_of_one_attempt_the_one_that_stands_is_found(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    await give_back(ledger, attempt)
    late = replace(FAILURE, exit_code=2)
    assert not await world.ledger().finish(attempt, late, Verdict(Status.FAILED, Charge.USER))
    assert await indices(records, {Status.RUNNABLE}, JOB) == [0]


async def test_an_end_that_was_announced_and_not_written_hides_nothing(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    world.faulty.plan("update_item", fails("AccessDeniedException", Trouble.DENIED))
    with pytest.raises(Unavailable):
        await fail(ledger, attempt)
    await give_back(world.ledger(), attempt)
    assert await indices(records, {Status.RUNNABLE}, JOB) == [0]


async def test_an_end_that_was_brought_into_a_later_round_is_found(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await fail(ledger, await begin(ledger, index=1))
    attempt = await begin(ledger)

    async def reopened(parameters: object, proceed: Callable[..., Awaitable[Any]]) -> Any:
        await world.records().reopen(JOB.id, EPOCH)
        return await proceed()

    world.faulty.plan("update_item", reopened)
    await fail(ledger, attempt)
    assert await indices(records, {Status.FAILED}, JOB) == [0]


async def test_an_end_whose_hint_does_not_say_which_is_found(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await fail(ledger, await begin(ledger))
    (hint,) = [key for key in world.written() if key["pk"].startswith("F#")]
    await world.table.put(dict(hint))
    await succeed(ledger, await begin(ledger, index=1))
    assert await indices(records, {Status.FAILED}, JOB) == [0]
