"""Writes that go out together, and what becomes of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb import lots as timing
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.lots import MOST, Lots
from runner.adapters.dynamodb.table import Condition, Table, Written
from runner.aws import Aws, AwsError, Reply, Trouble
from tests.aws.wrappers import Counting, Faulty, an_error, answers, fails, loses_the_reply
from tests.dynamodb.embedded import EmbeddedDynamo
from tests.dynamodb.emulator import a_name, create_table
from tests.dynamodb.world import JOB, World, begin, succeed

LOT = "batch_execute_statement"
FREE = Condition("#s = :s AND #n = :n", {":s": "free", ":n": 1})


class OneTable:
    """Emulated: DynamoDB. `slowly`: seconds that each request takes."""

    def __init__(self, name: str, slowly: float = 0.0) -> None:
        self.faulty = Faulty(Slow(EmbeddedDynamo(), slowly))
        self.counting = Counting(self.faulty)
        self.table = Table(self.counting, name, lambda: 0.5)
        self.lots = Lots(self.table)

    @classmethod
    async def make(cls, slowly: float = 0.0) -> OneTable:
        name = a_name("lots")
        await create_table(EmbeddedDynamo(), name)
        return cls(name, slowly)

    async def insert(self, *names: str) -> list[Written]:
        items = [{"pk": "P", "sk": name, "s": "free", "n": 1} for name in names]
        return await asyncio.gather(*(self.lots.insert(item) for item in items))

    async def take(self, *names: str) -> list[Written]:
        return await asyncio.gather(
            *(self.lots.update(Key("P", name), {"s": "taken", "n": None}, FREE) for name in names)
        )

    async def read(self, name: str) -> Mapping[str, Any] | None:
        return await self.table.get(Key("P", name))

    @property
    def sizes(self) -> list[int]:
        """Of the requests that wrote."""
        counting = self.counting.calls
        return [len(given.get("Statements", "1")) for name, given in counting if name != "get_item"]


class Slow:
    def __init__(self, aws: Aws, seconds: float) -> None:
        self._aws = aws
        self._seconds = seconds

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        await asyncio.sleep(self._seconds)
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None: ...


@pytest.fixture
async def one() -> OneTable:
    return await OneTable.make()


def at_statement(number: int, error: Mapping[str, Any]) -> Callable[..., Any]:
    """Of a lot this one is not carried out, the others are."""

    async def fault(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        others = [each for at, each in enumerate(parameters["Statements"]) if at != number]
        said = list((await proceed(Statements=others))["Responses"])
        return {"Responses": [*said[:number], {"Error": error}, *said[number:]]}

    return fault


async def test_what_is_written_in_one_moment_goes_in_one_request(one: OneTable) -> None:
    assert [each.ok for each in await one.insert("1", "2", "3")] == [True] * 3
    assert [each.ok for each in await one.take("1", "2", "3")] == [True] * 3
    assert one.sizes == [3, 3]
    assert await one.read("2") == {"pk": "P", "sk": "2", "s": "taken"}


async def test_one_alone_is_a_plain_write(one: OneTable) -> None:
    await one.insert("1")
    await one.take("1")
    assert dict(one.counting.requests) == {"put_item": 1, "update_item": 1}


async def test_no_request_has_more_than_the_service_takes(one: OneTable) -> None:
    written = await one.insert(*map(str, range(MOST + 2)))
    assert all(each.ok for each in written)
    assert one.sizes == [MOST, 2]


async def test_an_item_is_written_once_in_a_lot_and_again_in_the_next(one: OneTable) -> None:
    written = await one.insert("1", "1", "2")
    assert [each.ok for each in written] == [True, False, True]
    assert one.sizes == [2, 1]


async def test_a_condition_that_fails_is_that_writes_alone_and_shows_what_is_there(one: OneTable) -> None:
    await one.insert("1", "2")
    await one.take("1")
    first, second = await one.take("1", "2")
    assert (first.ok, second.ok) == (False, True)
    assert first.item == {"pk": "P", "sk": "1", "s": "taken"}


async def test_an_insert_that_is_refused_shows_what_is_there(one: OneTable) -> None:
    await one.insert("1")
    first, second = await one.insert("1", "2")
    assert (first.ok, second.ok) == (False, True)
    assert first.item == {"pk": "P", "sk": "1", "s": "free", "n": 1}


async def test_an_update_finds_nothing_where_nothing_is(one: OneTable) -> None:
    await one.insert("1")
    assert list(await one.take("1", "2")) == [Written(True), Written(False)]


@pytest.mark.parametrize(
    "code", ["ThrottlingError", "TransactionConflict", "InternalServerError", "AccessDenied"]
)
async def test_a_statement_that_fails_is_made_again_by_itself(one: OneTable, code: str) -> None:
    one.faulty.plan(LOT, at_statement(1, {"Code": code, "Message": "as planned"}))
    assert [each.ok for each in await one.insert("1", "2", "3")] == [True] * 3
    assert dict(one.counting.requests) == {LOT: 1, "put_item": 1}


async def test_a_statement_that_fails_for_no_stated_reason_is_made_again_by_itself(one: OneTable) -> None:
    """The service need not say one."""
    one.faulty.plan(LOT, at_statement(1, {}))
    assert [each.ok for each in await one.insert("1", "2", "3")] == [True] * 3
    assert dict(one.counting.requests) == {LOT: 1, "put_item": 1}


async def test_what_one_write_is_told_in_the_end_is_not_told_to_the_others(one: OneTable) -> None:
    one.faulty.plan(LOT, at_statement(0, {"Code": "ValidationError", "Message": "as planned"}))
    one.faulty.plan("put_item", fails("ValidationException", Trouble.REFUSED))
    made = [one.lots.insert({"pk": "P", "sk": name}) for name in "12"]
    first, second = await asyncio.gather(*made, return_exceptions=True)
    assert isinstance(first, AwsError)
    assert second == Written(True)


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_a_lot_that_fails_as_a_whole_is_made_write_by_write(one: OneTable, trouble: Trouble) -> None:
    """For want of the rights that PartiQL takes, say."""
    one.faulty.plan(LOT, fails("AccessDeniedException", trouble))
    assert [each.ok for each in await one.insert("1", "2")] == [True] * 2
    assert dict(one.counting.requests) == {LOT: 1, "put_item": 2}


async def test_where_nothing_answers_a_write_of_a_lot_is_not_made_more_often_than_one_alone(
    one: OneTable,
) -> None:
    one.faulty.plan(LOT, fails("ReadTimeout", Trouble.UNREACHABLE))
    one.faulty.plan("put_item", *[fails("ReadTimeout", Trouble.UNREACHABLE)] * 2)
    made = [one.lots.insert({"pk": "P", "sk": name}) for name in "12"]
    told = await asyncio.gather(*made, return_exceptions=True)
    assert [type(each) for each in told] == [AwsError] * 2
    assert dict(one.counting.requests) == {LOT: 1, "put_item": 2}


async def test_a_lot_whose_reply_is_lost_finds_its_own_writes(one: OneTable) -> None:
    one.faulty.plan(LOT, loses_the_reply)
    written = await one.insert("1", "2")
    assert [(each.ok, each.item and each.item["sk"]) for each in written] == [(False, "1"), (False, "2")]


async def test_a_reply_that_makes_no_sense_is_an_error_of_each_write(one: OneTable) -> None:
    one.faulty.plan(LOT, answers({"Responses": [{}]}))
    made = [one.lots.insert({"pk": "P", "sk": name}) for name in "12"]
    told = await asyncio.gather(*made, return_exceptions=True)
    assert [type(each) for each in told] == [ValueError] * 2


def test_what_comes_while_a_lot_is_under_way_goes_with_the_next_and_nothing_waits_for_company() -> None:
    async def main() -> tuple[list[int], float]:
        one = await OneTable.make(slowly=0.01)
        loop = asyncio.get_running_loop()
        begun, first = loop.time(), asyncio.create_task(one.insert("1"))
        await asyncio.sleep(0.005)
        await asyncio.gather(first, one.insert("2", "3"))
        return one.sizes, loop.time() - begun

    sizes, took = virtual_time.run(main())
    assert sizes == [1, 2]
    assert took == pytest.approx(0.02)


def test_a_lot_without_a_reply_does_not_hold_up_the_others_for_long() -> None:
    async def hangs(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        await asyncio.sleep(5.0)
        raise an_error("ReadTimeout", Trouble.UNREACHABLE)

    async def main() -> float:
        one = await OneTable.make()
        one.faulty.plan("put_item", hangs)
        lost = asyncio.create_task(one.insert("1"))
        await asyncio.sleep(0.001)
        begun = asyncio.get_running_loop().time()
        await one.insert("2", "3")
        took = asyncio.get_running_loop().time() - begun
        await lost
        return took

    assert virtual_time.run(main()) <= timing.SLOW


def test_nobody_waits_for_another_of_the_lot_that_has_to_be_made_again() -> None:
    async def hangs(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        await asyncio.sleep(5.0)
        return await proceed()

    async def main() -> tuple[float, float]:
        one = await OneTable.make()
        loop = asyncio.get_running_loop()
        one.faulty.plan(LOT, at_statement(0, {"Code": "ThrottlingError", "Message": "as planned"}))
        one.faulty.plan("put_item", hangs)
        begun = loop.time()
        again, other = (asyncio.create_task(one.lots.insert({"pk": "P", "sk": name})) for name in "12")
        await other
        soon = loop.time() - begun
        await again
        return soon, loop.time() - begun

    assert virtual_time.run(main()) == (pytest.approx(0.0), pytest.approx(5.0))


def test_who_is_cancelled_goes_on_when_its_write_has_been_carried_out() -> None:
    async def main() -> tuple[bool, Mapping[str, Any] | None]:
        one = await OneTable.make(slowly=0.01)
        made = asyncio.create_task(one.lots.insert({"pk": "P", "sk": "1"}))
        await asyncio.sleep(0.005)
        made.cancel()
        await asyncio.wait([made])
        return made.cancelled(), await one.read("1")

    cancelled, found = virtual_time.run(main())
    assert cancelled
    assert found == {"pk": "P", "sk": "1"}


@pytest.mark.parametrize("moments", range(6))
def test_nobody_waits_for_ever_when_all_is_cancelled(moments: int) -> None:
    """As the loop ends. A lot may not even have begun then."""

    async def main() -> None:
        one = await OneTable.make(slowly=0.01)
        made = asyncio.create_task(one.lots.insert({"pk": "P", "sk": "1"}))
        for _ in range(moments):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait([made], timeout=5.0)
        assert made.done()

    virtual_time.run(main())


async def test_tasks_that_begin_and_end_together_cost_a_request_each_time(world: World) -> None:
    await world.records().register(JOB)
    ledger = world.ledger(fresh=1.0)
    begun = await asyncio.gather(*(begin(ledger, index=index) for index in JOB.array))
    await asyncio.gather(*(succeed(ledger, attempt) for attempt in begun))
    assert world.counting.requests[LOT] == 2
