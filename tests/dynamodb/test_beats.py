"""One write for all that an owner holds, and reads that need not be the newest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.model import Attempt
from tests.aws.wrappers import answers
from tests.dynamodb.world import JOB, World, begin, succeed

SIXTEEN = replace(JOB, array=Array.of_size(16))
NOTHING_YET: Mapping[str, Any] = {"Responses": {}}


async def sixteen_held(ledger: DynamoLedger, records: DynamoRecords) -> list[Attempt]:
    await records.register(SIXTEEN)
    return [await begin(ledger, SIXTEEN, index) for index in range(16)]


async def test_a_beat_for_sixteen_attempts_is_one_write(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    await ledger.touch(held)
    assert world.writes_to("B#") == 1


async def test_a_beat_asks_once_what_became_of_all(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    await ledger.touch(held)
    assert world.counting.requests["batch_get_item"] == 1


async def test_what_an_old_read_does_not_know_yet_is_not_gone(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    world.faulty.plan("batch_get_item", answers(NOTHING_YET))
    assert not await ledger.touch(held)


async def test_that_is_asked_again_of_the_newest_only(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    world.faulty.plan("batch_get_item", answers(NOTHING_YET))
    await ledger.touch(held)
    asked = [given["RequestItems"][world.name] for given in world.counting.given("batch_get_item")]
    assert [each["ConsistentRead"] for each in asked] == [False, True]


async def test_an_ended_attempt_is_no_longer_beaten_for(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    await ledger.touch(held)
    await succeed(ledger, held[0])
    await ledger.touch(held[1:])
    assert len(last_beats(world)) == 15


async def test_only_what_is_touched_has_a_newer_beat(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    await ledger.touch(held)
    before = last_beats(world)
    await ledger.touch(held[:1])
    after = last_beats(world)
    assert {name for name in after if after[name] != before[name]} == {str(held[0])}


async def test_an_attempt_whose_end_is_being_repeated_is_still_beaten_for(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    held = await sixteen_held(ledger, records)
    released = asyncio.Event()

    async def hangs(parameters: object, proceed: Callable[..., Awaitable[object]]) -> object:
        await released.wait()
        return await proceed()

    world.faulty.plan("update_item", hangs)
    ending = asyncio.create_task(succeed(ledger, held[0]))
    await asyncio.sleep(0)
    gone = await ledger.touch(held)
    released.set()
    assert (await ending, gone, len(last_beats(world))) == (True, [], 16)


async def test_what_is_held_is_written_about_in_a_hurry(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    first = len(world.counting.calls)
    attempt = await begin(ledger)
    await ledger.touch([attempt])
    await succeed(ledger, attempt)
    assert all(given["urgent"] for _, given in world.counting.calls[first:])


def last_beats(world: World) -> Mapping[str, Any]:
    written = [given["Item"] for given in world.counting.given("put_item")]
    beats: Mapping[str, Any] = [item["beats"]["M"] for item in written if item["pk"]["S"].startswith("B#")][
        -1
    ]
    return beats
