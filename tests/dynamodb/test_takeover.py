"""Silence is measured by the clock of the service: what the clocks of processes say does not matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.aws import Trouble
from runner.errors import Unavailable
from runner.model import Attempt, Status, TaskId
from runner.records import RefusalKind
from tests.aws.wrappers import fails
from tests.dynamodb.embedded import EmbeddedDynamo
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


wrong = pytest.mark.parametrize("ahead", [300.0, 20.0, -20.0, -300.0])


@wrong
async def test_nor_does_one_that_comes_where_the_clock_is_wrong(
    world: World, held: Attempt, ahead: float
) -> None:
    refusal = await refused(world.ledger(ahead=ahead), owner="carl#1")
    assert refusal.retry_after is not None
    assert LEASE < refusal.retry_after < LEASE + 5.0


@wrong
async def test_nor_does_one_that_was_refused_where_the_clock_is_wrong(
    world: World, ledger: DynamoLedger, records: DynamoRecords, ahead: float
) -> None:
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    await refused(world.ledger(ahead=ahead), owner="carl#1")
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD


@wrong
async def test_a_silent_owner_is_taken_over_from_in_time_where_no_two_clocks_agree(
    world: World, ledger: DynamoLedger, records: DynamoRecords, ahead: float
) -> None:
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    refusal = await refused(world.ledger(ahead=ahead), owner="carl#1")
    world.skew += refusal.retry_after or 0.0
    assert isinstance(await ask(world.ledger(ahead=-ahead), owner="bert#1"), Attempt)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75])
async def test_though_the_service_tells_whole_seconds_nobody_takes_over_before_a_lease_has_passed(
    world: World, ledger: DynamoLedger, records: DynamoRecords, fraction: float
) -> None:
    world.skew += fraction
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    await refused(ledger, owner="bert#1")
    world.skew += LEASE - 0.5
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75])
async def test_nor_does_anybody_come_too_early_who_was_hidden_for_as_long_as_he_was_told(
    world: World, ledger: DynamoLedger, records: DynamoRecords, fraction: float
) -> None:
    world.skew += fraction
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    world.skew += (await refused(ledger, owner="bert#1")).retry_after or 0.0
    assert isinstance(await ask(ledger, owner="bert#1"), Attempt)


async def test_where_the_service_does_not_say_what_time_it_is_ones_own_clock_counts(
    world: World, records: DynamoRecords
) -> None:
    ledger = world.ledger(EmbeddedDynamo())
    await records.register(JOB)
    await begin(ledger, owner="anna#1")
    refusal = await refused(ledger, owner="bert#1")
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD
    world.skew += refusal.retry_after or 0.0
    assert isinstance(await ask(ledger, owner="bert#1"), Attempt)


async def test_an_owner_that_beats_keeps_its_task_however_much_time_has_passed(
    world: World, ledger: DynamoLedger, held: Attempt
) -> None:
    await ledger.touch([held])
    world.skew += 300.0
    assert (await refused(ledger, owner="bert#1")).kind is RefusalKind.HELD


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
    world.skew += LEASE * 1.2
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
