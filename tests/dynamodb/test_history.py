"""How long records are kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.errors import Conflict
from runner.model import Status
from runner.records import Ending
from tests.dynamodb.world import EPOCH, JOB, World, begin, fail, give_back, read, succeed

DAY = 86_400.0
MONTH = 30 * DAY


async def all_items(world: World) -> list[dict[str, Any]]:
    reply = await world.counting.call("dynamodb", "scan", TableName=world.name)
    return list(reply["Items"])


async def a_whole_life(world: World, history: float | None) -> None:
    """Of a job, of which one task failed once."""
    ledger, records = world.ledger(history=history), world.records(history=history)
    await records.register(JOB)
    await give_back(ledger, await begin(ledger))
    for index in range(3):
        await succeed(ledger, await begin(ledger, index=index))
    await records.tidy()


async def test_without_a_limit_nothing_of_a_job_expires(world: World) -> None:
    await a_whole_life(world, None)
    assert not [item for item in await all_items(world) if "expires" in item]


async def test_with_a_limit_everything_of_a_job_that_is_over_expires(world: World) -> None:
    await a_whole_life(world, MONTH)
    expiring = {item.get("expires", {}).get("N") for item in await all_items(world)}
    assert expiring == {str(int(EPOCH + MONTH))}


async def test_what_is_said_of_an_unfinished_job_stays(world: World) -> None:
    ledger, records = world.ledger(history=MONTH), world.records(history=MONTH)
    await records.register(JOB)
    await succeed(ledger, await begin(ledger))
    await records.tidy()
    kept = {item["pk"]["S"].partition("#")[0] for item in await all_items(world) if "expires" not in item}
    assert kept == {"J", "L", "I", "N", "U"}


def test_opening_a_job_again_keeps_what_is_said_of_it() -> None:
    async def main() -> set[str]:
        world = await World.make()
        ledger, records = world.ledger(history=MONTH), world.records(history=MONTH)
        await records.register(JOB)
        for index in range(3):
            await fail(ledger, await begin(ledger, index=index))
        await records.tidy()
        await asyncio.sleep(DAY)
        await records.reopen(JOB.id, world.now())
        return {item["pk"]["S"].partition("#")[0] for item in await all_items(world) if "expires" not in item}

    assert virtual_time.run(main()) == {"J", "L", "I", "N", "U"}


def test_a_job_older_than_its_history_is_not_opened_again() -> None:
    async def main() -> None:
        world = await World.make()
        records = world.records(history=MONTH)
        await records.register(JOB)
        await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
        await asyncio.sleep(MONTH + 1)
        with pytest.raises(Conflict, match="submit it anew"):
            await records.reopen(JOB.id, world.now())

    virtual_time.run(main())


def test_a_job_still_unfinished_then_is_ended() -> None:
    async def main() -> Status:
        world = await World.make()
        records = world.records(history=MONTH)
        await records.register(JOB)
        await asyncio.sleep(MONTH + 1)
        await records.tidy()
        return (await read(records)).status

    assert virtual_time.run(main()) is Status.FAILED


async def test_beats_of_a_host_that_is_gone_go_too(world: World, ledger: DynamoLedger) -> None:
    await world.records().register(JOB)
    await ledger.touch([await begin(ledger)])
    (beats,) = [item for item in await all_items(world) if item["pk"]["S"].startswith("B#")]
    assert int(beats["expires"]["N"]) == int(EPOCH + 7 * DAY)
