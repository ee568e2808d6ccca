"""Counts: many share a write, none is lost with the process that made it, none is counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.array import Array
from runner.aws import Aws, Reply, Trouble
from runner.errors import Unavailable
from runner.model import Attempt, Status
from runner.records import Counts
from tests.aws.wrappers import an_error, fails
from tests.dynamodb.world import JOB, World, ask, begin, fail, give_back, read, send_all, succeed

HUNDRED = replace(JOB, array=Array.of_size(100))


async def ended_at_once(world: World, count: int = 100, linger: float = 1.0) -> DynamoLedger:
    ledger = world.ledger(linger=linger)
    await world.records().register(HUNDRED)
    attempts = await asyncio.gather(*(begin(ledger, HUNDRED, index) for index in range(count)))
    await asyncio.gather(*(succeed(ledger, attempt) for attempt in attempts))
    return ledger


def test_ends_close_to_each_other_share_a_write() -> None:
    async def main() -> int:
        world = await World.make()
        await ended_at_once(world)
        return world.writes_to("S#")

    assert virtual_time.run(main()) <= 2


def test_an_end_is_counted_when_it_is_reported_as_recorded() -> None:
    async def main() -> Counts:
        world = await World.make()
        await ended_at_once(world)
        return (await read(world.records(), HUNDRED)).counts

    assert virtual_time.run(main()) == Counts(succeeded=100)


def test_a_beginning_does_not_wait_to_be_counted() -> None:
    async def main() -> float:
        world = await World.make()
        await world.records().register(JOB)
        await begin(world.ledger(linger=60.0))
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) < 1.0


def test_an_end_waits_no_longer_than_the_linger() -> None:
    async def main() -> float:
        await ended_at_once(await World.make(), linger=1.0)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) < 2.0


def test_while_it_waits_to_be_counted_an_end_still_counts_as_held() -> None:
    async def main() -> tuple[object, object]:
        world = await World.make()
        ledger = world.ledger(linger=5.0)
        await world.records().register(JOB)
        attempt = await begin(ledger)
        ending = asyncio.create_task(succeed(ledger, attempt))
        await asyncio.sleep(1.0)
        during = await ledger.touch([attempt])
        await ending
        return during, await ledger.touch([attempt])

    during, after = virtual_time.run(main())
    assert (during, bool(after)) == ([], True)


def test_counts_that_could_not_be_written_are_written_later() -> None:
    async def main() -> tuple[Counts, Counts]:
        world = await World.make()
        ledger, records = world.ledger(linger=1.0), world.records()
        await records.register(JOB)
        attempt = await begin(ledger)
        await ledger.flush()
        world.faulty.plan("put_item", *[fails("AccessDeniedException", Trouble.DENIED)] * 3)
        with pytest.raises(Unavailable):
            await succeed(ledger, attempt)
        before = (await read(records)).counts
        await asyncio.sleep(60.0)
        return before, (await read(records)).counts

    before, after = virtual_time.run(main())
    assert (before.running, after) == (1, Counts(runnable=2, succeeded=1))


class Mortal:
    """What is written through it until it dies; then nothing is."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.dead: Callable[[str], bool] = lambda pk: False

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: object
    ) -> Reply:
        given = parameters.get("Key") or parameters.get("Item")
        if isinstance(given, dict) and self.dead(given["pk"]["S"]):
            code = "Killed"
            raise an_error(code, Trouble.DENIED)
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None: ...


async def killed_before_counting(world: World, records: DynamoRecords, index: int = 0) -> None:
    """Its last task's record stands, and its sums were never told."""
    mortal = Mortal(world.counting)
    ledger = world.ledger(mortal)
    attempt = await begin(ledger, index=index)
    await ledger.flush()
    mortal.dead = lambda pk: pk.startswith("S#")
    with pytest.raises(Unavailable):
        await succeed(ledger, attempt)


async def two_succeed_and_one_was_not_counted(world: World, records: DynamoRecords) -> None:
    await records.register(JOB)
    await send_all(records)
    ledger = world.ledger()
    for index in (1, 2):
        await succeed(ledger, await begin(ledger, index=index))
    await killed_before_counting(world, records)


async def test_a_process_killed_before_it_counted_leaves_a_job_that_seems_to_run(
    world: World, records: DynamoRecords
) -> None:
    await two_succeed_and_one_was_not_counted(world, records)
    assert (await read(records)).counts == Counts(running=1, succeeded=2)


async def test_looking_for_what_is_outstanding_makes_the_counts_whole(
    world: World, records: DynamoRecords
) -> None:
    await two_succeed_and_one_was_not_counted(world, records)
    assert not await records.outstanding(JOB.id, 10)
    record = await read(records)
    assert (record.counts, record.task_seconds, record.cpu_seconds) == (Counts(succeeded=3), 6.0, 1.5)


async def test_counting_anew_changes_nothing_that_was_right(world: World, records: DynamoRecords) -> None:
    await two_succeed_and_one_was_not_counted(world, records)
    for _ in range(3):
        await records.outstanding(JOB.id, 10)
    assert (await read(records)).counts == Counts(succeeded=3)


async def test_what_was_not_counted_of_an_earlier_attempt_is_found_when_the_job_is_over(
    world: World, records: DynamoRecords
) -> None:
    await records.register(JOB)
    mortal = Mortal(world.counting)
    dying, ledger = world.ledger(mortal), world.ledger()
    attempt = await begin(dying)
    await dying.flush()
    mortal.dead = lambda pk: pk.startswith("S#")
    with pytest.raises(Unavailable):
        await give_back(dying, attempt)
    for index in JOB.array:
        await succeed(ledger, await begin(ledger, index=index))
    before = (await read(records)).counts
    for _ in range(2):
        await records.tidy()
    record = await read(records)
    assert (before, record.counts, record.task_seconds) == (Counts(succeeded=3), Counts(succeeded=3), 8.0)


def test_whoever_supervises_finds_the_job_that_stands_still() -> None:
    async def main() -> list[int]:
        world = await World.make()
        records = world.records(patience=60.0)
        await two_succeed_and_one_was_not_counted(world, records)
        found = []
        for _ in range(3):
            found.append(len(await records.tidy()))
            await asyncio.sleep(61.0)
        return found

    assert virtual_time.run(main()) == [1, 1, 0]


def test_a_job_whose_task_runs_long_is_not_read_over_and_over() -> None:
    async def main() -> int:
        world = await World.make()
        records, ledger = world.records(patience=60.0), world.ledger()
        await records.register(JOB)
        await send_all(records)
        await begin(ledger)
        for _ in range(60):
            await records.tidy()
            await asyncio.sleep(10.0)
        return sum(
            given["ExpressionAttributeValues"][":pk"]["S"].startswith("T#")
            for given in world.counting.given("query")
        )

    assert virtual_time.run(main()) == 0


FEW = replace(JOB, array=Array.of_size(12))
ACTS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["succeed", "fail", "give back", "die", "recount"])),
    max_size=12,
)


class Crowd:
    """Three processes; in the place of one that dies comes another."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records = world.records()
        self._members = [self._member() for _ in range(3)]

    def _member(self) -> tuple[Mortal, DynamoLedger]:
        mortal = Mortal(self._world.counting)
        return mortal, self._world.ledger(mortal)

    async def act(self, number: int, act: str, index: int) -> None:
        mortal, ledger = self._members[number]
        if act == "recount":
            await self.records.outstanding(FEW.id, 10)
            return
        attempt = await begin(ledger, FEW, index)
        if act == "die":
            mortal.dead = lambda pk: pk.startswith("S#")
            self._members[number] = self._member()
            with pytest.raises(Unavailable):
                await succeed(ledger, attempt)
            return
        ends: dict[str, Callable[..., Awaitable[bool]]] = {"fail": fail, "give back": give_back}
        await ends.get(act, succeed)(ledger, attempt)

    async def end_all(self) -> None:
        ledger = self._world.ledger()
        for index in FEW.array:
            begun = await ask(ledger, FEW, index)
            if isinstance(begun, Attempt):
                await succeed(ledger, begun)


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_whoever_dies_a_recount_makes_the_counts_those_of_the_tasks(acts: list[tuple[int, str]]) -> None:
    async def main() -> tuple[Counts, list[Status], float]:
        crowd = Crowd(await World.make())
        await crowd.records.register(FEW)
        await send_all(crowd.records, FEW)
        for index, (number, act) in enumerate(acts):
            await crowd.act(number, act, index)
        await crowd.end_all()
        await crowd.records.outstanding(FEW.id, 10)
        record = await read(crowd.records, FEW)
        statuses = [task.status for task in await crowd.records.tasks(FEW.id)]
        return record.counts, statuses, record.task_seconds

    counts, statuses, seconds = virtual_time.run(main())
    failed = statuses.count(Status.FAILED)
    assert counts == Counts(succeeded=12 - failed, failed=failed)
    given_back = sum(act == "give back" for _, act in acts)
    assert seconds == 2.0 * (12 + given_back)
