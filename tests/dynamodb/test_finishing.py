"""An attempt that ends while its job is opened again: nothing is left behind that is neither sent nor ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.aws import Trouble
from runner.errors import Unavailable
from runner.model import Attempt, Status
from runner.records import Counts, Ending, Verdict
from tests.aws.wrappers import Fault, fails
from tests.dynamodb.world import (
    EPOCH,
    FAILURE,
    JOB,
    World,
    begin,
    fail,
    give_back,
    read,
    send_all,
    succeed,
)

Ends = Callable[[DynamoLedger, Attempt], Awaitable[bool]]
DENIED = fails("AccessDeniedException", Trouble.DENIED)


async def give_up(ledger: DynamoLedger, attempt: Attempt) -> bool:
    return await ledger.finish(attempt, FAILURE, Verdict(Status.CANCELLED))


def reopened_and_sent(records: DynamoRecords, *, cancelled: bool) -> Fault:
    """Just before the write is carried out."""

    async def fault(parameters: object, proceed: Callable[..., Awaitable[Any]]) -> Any:
        if cancelled:
            await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
        await records.reopen(JOB.id, EPOCH)
        await send_all(records)
        return await proceed()

    return fault


async def one_left(ledger: DynamoLedger, records: DynamoRecords) -> Attempt:
    """Of three sent, one succeeded, one failed, one runs."""
    await records.register(JOB)
    await send_all(records)
    await succeed(ledger, await begin(ledger, index=1))
    await fail(ledger, await begin(ledger, index=2))
    return await begin(ledger, index=0)


async def unaccounted(records: DynamoRecords) -> set[int]:
    """What counts as queued and has no message: its own was completed with the end, or it was never sent again."""
    record = await read(records)
    unsent = (await records.unsent(JOB.id, 100)).indices
    listed = [task.status for task in await records.tasks(JOB.id)]
    assert listed.count(Status.FAILED) == record.counts.failed
    on_queue = set(await records.outstanding(JOB.id, 100)) - {2}
    return on_queue - set(unsent)


@pytest.mark.parametrize("cancelled", [False, True], ids=["retried", "cancelled and retried"])
async def test_a_failure_across_a_reopening_fails_in_the_new_round(
    world: World, ledger: DynamoLedger, records: DynamoRecords, cancelled: bool
) -> None:
    attempt = await one_left(ledger, records)
    world.faulty.plan("update_item", reopened_and_sent(world.records(), cancelled=cancelled))
    assert await fail(ledger, attempt)
    assert (await read(records)).counts == Counts(runnable=1, succeeded=1, failed=1)
    assert await unaccounted(records) == set()


async def test_a_cancel_across_the_reopening_that_lifts_it_is_sent_again(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    await records.end(JOB.id, Ending(Status.CANCELLED, "", EPOCH))
    world.faulty.plan("update_item", reopened_and_sent(world.records(), cancelled=False))
    assert await give_up(ledger, attempt)
    assert (await records.unsent(JOB.id, 100)).indices == (0,)


async def test_a_retry_across_a_reopening_keeps_the_message_it_comes_back_with(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    world.faulty.plan("update_item", reopened_and_sent(world.records(), cancelled=True))
    assert await give_back(ledger, attempt)
    assert (await records.unsent(JOB.id, 100)).indices == ()
    assert set(await records.outstanding(JOB.id, 100)) == {0, 2}


async def test_a_failure_across_two_reopenings_fails_in_the_last_round(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    again = reopened_and_sent(world.records(), cancelled=True)
    world.faulty.plan("update_item", again, again)
    assert await fail(ledger, attempt)
    assert (await read(records)).counts.failed == 1
    assert await unaccounted(records) == set()


async def test_an_end_that_cannot_be_looked_at_again_counts_as_it_stands(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    world.faulty.plan("get_item", passes, DENIED)
    assert await fail(ledger, attempt)
    assert (await read(records)).counts == Counts(succeeded=1, failed=2)


async def passes(parameters: object, proceed: Callable[..., Awaitable[Any]]) -> Any:
    return await proceed()


async def test_an_end_that_could_not_be_put_right_is_when_it_is_recorded_again(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    world.faulty.plan("update_item", reopened_and_sent(world.records(), cancelled=False), DENIED)
    with pytest.raises(Unavailable):
        await fail(ledger, attempt)
    world.faulty.plan("update_item", passes, DENIED)
    with pytest.raises(Unavailable):
        await fail(ledger, attempt)
    assert await fail(ledger, attempt)
    assert (await read(records)).counts == Counts(runnable=1, succeeded=1, failed=1)
    assert await unaccounted(records) == set()


async def test_an_end_recorded_before_the_reopening_whose_reply_was_lost_fails_in_the_new_round(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)

    async def carried_out_and_denied(parameters: object, proceed: Callable[..., Awaitable[Any]]) -> Any:
        await proceed()
        return await DENIED({}, proceed)

    world.faulty.plan("update_item", carried_out_and_denied)
    with pytest.raises(Unavailable):
        await fail(ledger, attempt)
    await records.reopen(JOB.id, EPOCH)
    assert await fail(ledger, attempt)
    record = await read(records)
    assert record.counts == Counts(runnable=1, succeeded=1, failed=1)
    assert await unaccounted(records) == set()


async def test_an_end_begun_anew_before_it_was_put_right_counts_in_its_old_round(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    other = world.ledger()

    async def begun_anew(parameters: object, proceed: Callable[..., Awaitable[Any]]) -> Any:
        await begin(other, index=0)
        return await proceed()

    world.faulty.plan("update_item", reopened_and_sent(world.records(), cancelled=True), begun_anew)
    assert await fail(ledger, attempt)
    assert (await read(records)).counts == Counts(runnable=1, running=1, succeeded=1)


async def test_a_success_is_not_looked_at_again(world: World, records: DynamoRecords) -> None:
    ledger = world.ledger(fresh=60.0)
    await records.register(JOB)
    attempt = await begin(ledger)
    world.counting.calls.clear()
    await succeed(ledger, attempt)
    assert not world.counting.given("get_item")


async def test_an_end_is_counted_though_looking_at_it_again_is_broken_off(
    world: World, ledger: DynamoLedger, records: DynamoRecords
) -> None:
    attempt = await one_left(ledger, records)
    stuck = asyncio.Event()

    async def hangs(parameters: object, proceed: Callable[..., Awaitable[Any]]) -> Any:
        stuck.set()
        await asyncio.Event().wait()

    world.faulty.plan("get_item", passes, hangs)
    ending = asyncio.create_task(fail(ledger, attempt))
    await stuck.wait()
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    await ledger.flush()
    assert (await read(records)).counts.failed == 2
