"""A write whose reply is lost was carried out all the same: it is known again, and counted once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.aws import Aws, Reply, Trouble
from runner.errors import Unavailable
from runner.model import Attempt, Status, TaskId
from runner.records import Counts, Ending, RefusalKind
from tests.aws.items import LOT
from tests.aws.wrappers import an_error, fails, loses_the_reply
from tests.dynamodb.emulator import a_name
from tests.dynamodb.world import EPOCH, JOB, LEASE, World, ask, begin, fail, give_back, read, refused, succeed

FIRST_AND_SECOND = (loses_the_reply, fails("ReadTimeout", Trouble.UNREACHABLE))


class Forgetful:
    """Carries out every write and loses the reply; when it is made again, word for word, it answers."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._made: set[str] = set()

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        words = json.dumps([operation, parameters])
        reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        if "get" in operation or operation == "query" or words in self._made:
            return reply
        self._made.add(words)
        raise an_error("ReadTimeout", Trouble.UNREACHABLE)

    async def close(self) -> None: ...


@pytest.fixture
def forgetful(world: World) -> DynamoLedger:
    return world.ledger(Forgetful(world.counting))


async def lose_sight_of_one(world: World, ledger: DynamoLedger, records: DynamoRecords, **of: str) -> None:
    """It began, and whoever asked for it was told that the ledger can't be reached."""
    await records.register(JOB)
    world.faulty.plan("put_item", *FIRST_AND_SECOND)
    with pytest.raises(Unavailable):
        await begin(ledger, **of)


async def test_a_beginning_whose_reply_was_lost_is_ours(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    world.faulty.plan("put_item", loses_the_reply)
    assert (await begin(ledger)).number == 1


async def test_beginnings_and_ends_that_went_together_and_whose_reply_was_lost_are_ours_and_counted_once(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    world.faulty.plan(LOT, loses_the_reply)
    begun = await asyncio.gather(*(begin(ledger, index=index) for index in JOB.array))
    assert [attempt.number for attempt in begun] == [1, 1, 1]
    world.faulty.plan(LOT, loses_the_reply)
    assert await asyncio.gather(*(succeed(ledger, attempt) for attempt in begun)) == [True] * 3
    assert (await read(records)).counts == Counts(succeeded=3)


async def test_ends_that_went_together_and_were_given_up_as_lost_are_counted_when_they_are_told_again(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    begun = await asyncio.gather(*(begin(ledger, index=index) for index in JOB.array))
    world.faulty.plan(LOT, loses_the_reply)
    world.faulty.plan("update_item", *[fails("ReadTimeout", Trouble.UNREACHABLE)] * 3)
    told = await asyncio.gather(*(succeed(ledger, each) for each in begun), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in told)
    assert await asyncio.gather(*(succeed(ledger, attempt) for attempt in begun)) == [True] * 3
    assert (await read(records)).counts == Counts(succeeded=3)


async def test_whatever_is_lost_of_the_replies_all_attempts_are_ours(
    forgetful: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await give_back(forgetful, await begin(forgetful))
    assert (await begin(forgetful)).number == 2
    await forgetful.flush()
    assert (await read(records)).counts == Counts(runnable=2, running=1)


async def test_a_beginning_found_again_is_counted_once(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    world.faulty.plan("put_item", loses_the_reply)
    await begin(ledger)
    await ledger.flush()
    assert (await read(records)).counts == Counts(runnable=2, running=1)


async def test_another_call_of_the_same_owner_is_not_taken_for_the_first(
    ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    await refused(ledger, owner="anna#1")


async def test_an_end_whose_reply_was_lost_stands_and_is_counted_once(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    world.faulty.plan("update_item", loses_the_reply)
    assert await succeed(ledger, attempt)
    assert (await read(records)).counts == Counts(runnable=2, succeeded=1)


async def test_an_end_nobody_heard_of_is_counted_once_when_it_is_repeated(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    world.faulty.plan("update_item", *FIRST_AND_SECOND)
    with pytest.raises(Unavailable):
        await succeed(ledger, attempt)
    assert [await succeed(ledger, attempt), await succeed(ledger, attempt)] == [True, True]
    assert (await read(records)).counts == Counts(runnable=2, succeeded=1)


async def test_an_end_repeated_by_another_process_is_not_counted_by_that_too(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    assert [await succeed(ledger, attempt), await succeed(world.ledger(), attempt)] == [True, True]
    assert (await read(records)).counts == Counts(runnable=2, succeeded=1)


async def test_a_count_whose_reply_was_lost_is_counted_once(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    attempt = await begin(ledger)
    await ledger.flush()
    world.faulty.plan("put_item", loses_the_reply)
    await succeed(ledger, attempt)
    assert (await read(records)).counts == Counts(runnable=2, succeeded=1)


async def test_a_beginning_given_up_as_lost_is_counted_when_it_is_found(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await lose_sight_of_one(world, ledger, records)
    await refused(ledger)
    await ledger.flush()
    assert (await read(records)).counts == Counts(runnable=2, running=1)


async def test_a_beginning_given_up_as_lost_goes_on_when_its_owner_finds_it(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await lose_sight_of_one(world, ledger, records)
    found = await begin(ledger)
    assert (found.number, found.tries, found.infra_failures) == (1, 1, 0)
    assert await succeed(ledger, found)
    assert (await read(records)).counts == Counts(runnable=2, succeeded=1)


async def test_of_two_messages_one_finds_it(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await lose_sight_of_one(world, ledger, records)
    both = await asyncio.gather(*(ask(ledger, message=message) for message in ("message-1", "message-2")))
    assert sorted(isinstance(each, Attempt) for each in both) == [False, True]


class Interrupted:
    """Before the first change that it makes something else happens."""

    def __init__(self, aws: Aws, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._aws = aws
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if operation == "update_item" and self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile()
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None: ...


async def test_one_that_is_found_again_just_before_another_would_record_it_as_lost_goes_on(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await lose_sight_of_one(world, ledger, records, owner="anna#1")
    await refused(world.ledger(), owner="bert#1")
    world.skew += LEASE * 1.2
    begun: list[Attempt] = []

    async def meanwhile() -> None:
        begun.append(await begin(ledger, owner="anna#1", message="message-2"))

    bert = world.ledger(Interrupted(world.counting, meanwhile))
    assert (await refused(bert, owner="bert#1")).kind is RefusalKind.HELD
    assert await succeed(ledger, *begun)


async def test_one_that_somebody_took_over_meanwhile_is_not_ours(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await lose_sight_of_one(world, ledger, records, owner="anna#1")
    bert = world.ledger()
    await refused(bert, owner="bert#1")
    world.skew += LEASE * 1.2
    await begin(bert, owner="bert#1")
    assert (await refused(ledger, owner="anna#1")).kind is RefusalKind.HELD


async def test_a_job_whose_storing_nobody_heard_of_was_stored_by_this_call(
    world: World, records: DynamoRecords
) -> None:
    world.faulty.plan("transact_write_items", loses_the_reply)
    _, created = await records.register(JOB)
    assert created


async def test_an_ending_whose_reply_was_lost_is_ours(world: World, records: DynamoRecords) -> None:
    await records.register(JOB)
    world.faulty.plan("put_item", loses_the_reply)
    assert await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))


async def test_a_round_whose_opening_nobody_heard_of_is_opened_once(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await fail(ledger, await begin(ledger))
    records = DynamoRecords(world.table_of(Forgetful(world.counting)), world.now, a_name("forgetful"))
    assert await records.reopen(JOB.id, EPOCH) == 1
    assert (await read(records)).round == 2


async def test_a_lead_whose_reply_was_lost_is_ours(world: World, records: DynamoRecords) -> None:
    world.faulty.plan("update_item", loses_the_reply)
    assert await records.lead("one", 60.0)


async def test_a_takeover_whose_replies_are_lost_happens_once(
    ledger: DynamoLedger, forgetful: DynamoLedger, records: DynamoRecords
) -> None:
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    begun = await ask(forgetful, owner="anna#2")
    assert isinstance(begun, Attempt)
    assert (begun.number, begun.infra_failures) == (2, 1)
    assert [each.number for each in await records.attempts(TaskId(JOB.id, 0))] == [1]
