"""Silence is measured by the queue's time: clocks that disagree make a takeover later at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.aws import Trouble
from runner.errors import Unavailable
from runner.model import Attempt, Status, TaskId
from runner.records import RefusalKind
from tests.aws.wrappers import fails
from tests.dynamodb.world import JOB, LEASE, World, ask, begin, refused, succeed


@pytest.fixture
async def held(world: World, ledger: DynamoLedger, records: DynamoRecords) -> Attempt:
    """Anna has the task, and Bert's message was refused once."""
    await records.register(JOB)
    attempt = await begin(ledger, owner="anna#1")
    await refused(ledger, owner="bert#1")
    return attempt


async def test_a_message_delivered_twice_at_once_takes_nothing_over(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    world.skew += 0.1
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD


async def test_it_is_hidden_for_what_is_left_of_the_time(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    world.skew += 20.0
    refusal = await refused(ledger, owner="bert#1")
    assert refusal.retry_after is not None
    assert LEASE < 20.0 + refusal.retry_after < LEASE + 5.0


async def test_a_clock_far_behind_does_not_keep_a_task_held(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    world.skew -= 300.0  # the message is back after its time, on a host whose clock does not know
    assert isinstance(await ask(ledger, owner="bert#1"), Attempt)


async def test_a_clock_somewhat_behind_makes_it_later_by_a_lease_at_most(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    world.skew += 33.0 - 20.0  # 33 s have passed, and this host's clock is 20 s behind
    refusal = await refused(ledger, owner="bert#1")
    assert refusal.retry_after is not None
    assert refusal.retry_after < LEASE
    world.skew += refusal.retry_after
    assert isinstance(await ask(ledger, owner="bert#1"), Attempt)


async def test_an_owner_that_beats_keeps_its_task_whatever_the_clocks_say(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    await ledger.touch([held])
    world.skew += 300.0
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD


async def test_an_owner_that_beats_in_time_keeps_its_task_though_the_clocks_are_minutes_apart(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    """Its message was delivered twice at once, and it had no time to beat in between."""
    world.skew += 300.0
    waited: list[float] = []

    async def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        await ledger.touch([held])

    refusal = await refused(world.ledger(wait=meanwhile), owner="bert#1")
    assert (refusal.kind, waited) == (RefusalKind.HELD, [LEASE / 3])
    assert await succeed(ledger, held)


async def test_who_is_refused_does_not_wait_for_it(world: World, ledger: DynamoLedger) -> None:
    await world.records().register(JOB)
    attempt = await begin(ledger, owner="anna#1")

    async def never(seconds: float) -> None:
        pytest.fail("waited")

    bert = world.ledger(wait=never)
    for beats in (False, False, True):
        if beats:
            await ledger.touch([attempt])
            world.skew += LEASE * 1.2
        await refused(bert, owner="bert#1")


def test_who_has_itself_seen_no_beat_for_a_lease_waits_no_longer() -> None:
    async def never(seconds: float) -> None:
        pytest.fail("waited")

    async def main() -> int:
        world = await World.make()
        await world.records().register(JOB)
        await begin(world.ledger(), owner="anna#1")
        bert = world.ledger(wait=never)
        refusal = await refused(bert, owner="bert#1")
        await asyncio.sleep(refusal.retry_after or 0.0)
        return (await begin(bert, owner="bert#1")).number

    assert virtual_time.run(main()) == 2


async def test_beats_of_a_new_process_for_an_adopted_attempt_are_seen(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    await ledger.touch([held])
    await refused(ledger, owner="bert#1")
    world.skew += LEASE * 1.2
    await world.ledger().touch([held])  # it has beaten as often as its predecessor
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD


async def test_each_duplicate_is_measured_by_itself(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    for message in ("message-2", "message-3"):
        await refused(ledger, owner="bert#1", message=message)
    world.skew += LEASE
    assert isinstance(await ask(ledger, owner="bert#1"), Attempt)


async def test_a_task_keeps_few_notes_however_many_messages_are_sent(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    for number in range(20):
        world.skew += 1.0
        await refused(ledger, owner="bert#1", message=f"other-{number}")
    notes = world.counting.given("update_item")[-1]["ExpressionAttributeValues"][":set0"]["M"]
    assert len(notes) == 8
    assert "other-19" in notes


async def test_a_refused_duplicate_is_hidden_twice_as_long_each_time_its_owner_lived(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    hidden = []
    for _ in range(3):
        await ledger.touch([held])
        world.skew += 1000.0
        hidden.append((await refused(ledger, owner="bert#1")).retry_after)
    assert hidden == [66.0, 132.0, 264.0]


async def test_an_owner_that_ends_while_it_is_taken_from_keeps_its_end(
    world: World, ledger: DynamoLedger, records: DynamoRecords, held: Attempt
) -> None:
    world.skew += LEASE * 1.2
    at_last: list[bool] = []

    async def just_before(parameters: object, proceed: Callable[..., Awaitable[object]]) -> object:
        at_last.append(await succeed(world.ledger(), held))
        return await proceed()

    world.faulty.plan("update_item", just_before)  # that of the takeover
    refusal = await refused(ledger, owner="bert#1")
    assert (at_last, refusal.kind) == ([True], RefusalKind.FINISHED)
    task = TaskId(JOB.id, 0)
    assert [each.outcome.kind for each in await records.attempts(task)] == ["succeeded"]


async def test_a_takeover_broken_off_after_its_first_write_goes_on_later(
    world: World, ledger: DynamoLedger, records: DynamoRecords, held: Attempt
) -> None:
    world.skew += LEASE * 1.2

    async def passes(parameters: object, proceed: Callable[..., Awaitable[object]]) -> object:
        return await proceed()

    denied = fails("AccessDeniedException", Trouble.DENIED)
    # First the beginning that is refused, second the hint; the third would put the lost attempt into history.
    world.faulty.plan("put_item", passes, passes, denied)
    with pytest.raises(Unavailable):
        await ask(world.ledger(linger=60.0), owner="bert#1")
    record = await records.task(TaskId(JOB.id, 0))
    assert record is not None
    assert (record.status, record.attempt) == (Status.RUNNABLE, 1)
    assert (await begin(ledger, owner="bert#1")).infra_failures == 1


async def test_a_message_delivered_twice_at_once_takes_nothing_over_where_a_clock_is_somewhat_behind(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    world.skew -= 20.0
    refusal = await refused(ledger, owner="bert#1")
    assert refusal.kind is RefusalKind.HELD
    assert refusal.retry_after is not None
    assert 20.0 + LEASE < refusal.retry_after < 25.0 + LEASE
