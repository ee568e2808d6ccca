"""Extensions and the 12 hours that a message may be hidden in total. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from runner.aws import AwsError
from tests.aws.wrappers import refuses
from tests.sqs.stage import HIDE, Stage, take_one, task, tasks, virtual

HOUR = 3600.0


@virtual
async def test_ten_extensions_share_a_request() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(16))
    leases = [*await queue.receive(16, wait=0.0, hide=HIDE)]
    await queue.extend(leases, HIDE)
    assert stage.aws.requests["change_message_visibility_batch"] == 2


@virtual
async def test_extensions_do_not_queue_behind_other_calls() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    await queue.extend([await take_one(queue)], HIDE)
    assert [given["urgent"] for given in stage.aws.given("change_message_visibility_batch")] == [True]


@virtual
async def test_leases_of_several_channels_are_extended_each_where_it_belongs() -> None:
    stage = await Stage.set()
    queue = stage.queue({"high": 1, "low": 0})
    for channel in ("high", "low"):
        await queue.send(channel, [task()])
    leases = await queue.receive(2, wait=0.0, hide=10.0)
    assert not await queue.extend(leases, HIDE)
    await asyncio.sleep(30)
    assert (stage.visible("high"), stage.visible("low")) == (0, 0)


@virtual
async def test_an_extension_that_failed_within_the_service_is_tried_again() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(3))
    leases = await queue.receive(3, wait=0.0, hide=10.0)
    stage.faulty.plan("change_message_visibility_batch", refuses(1))
    assert not await queue.extend(leases, HIDE)
    await asyncio.sleep(30)
    assert stage.visible() == 0


@virtual
async def test_an_extension_that_keeps_failing_is_an_error() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    stage.faulty.plan("change_message_visibility_batch", *(refuses(0) for _ in range(20)))
    with pytest.raises(AwsError, match="sqs:ChangeMessageVisibilityBatch on fleet-default"):
        await queue.extend([lease], HIDE)


@virtual
async def test_a_lease_whose_time_is_over_is_reported_lost() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(2))
    early = await take_one(queue, hide=10.0)
    late = await take_one(queue, hide=100.0)
    await asyncio.sleep(50)
    assert list(await queue.extend([early, late], HIDE)) == [early]


@virtual
async def test_a_lease_that_somebody_else_has_now_is_reported_lost() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    old = await take_one(queue, hide=10.0)
    await asyncio.sleep(11)
    await take_one(queue)
    assert list(await queue.extend([old], HIDE)) == [old]


@virtual
async def test_a_message_of_others_that_was_deleted_is_reported_lost() -> None:
    stage = await Stage.set()
    queue, other = stage.queue(), stage.queue(linger=0.0)
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await other.complete([lease])
    assert list(await queue.extend([lease], HIDE)) == [lease]


async def held_for(stage: Stage, seconds: float) -> None:
    """A message received, and extended by a beat every 30 s for so long."""
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    for _ in range(int(seconds / 30)):
        await asyncio.sleep(30)
        assert not await queue.extend([lease], HIDE)


@virtual
async def test_a_message_can_be_hidden_for_nearly_twelve_hours() -> None:
    stage = await Stage.set()
    await held_for(stage, 12 * HOUR - 60)
    assert stage.in_flight() == 1


@virtual
async def test_after_twelve_hours_it_shows_and_nothing_is_asked_that_must_be_refused() -> None:
    stage = await Stage.set()
    await held_for(stage, 12 * HOUR + 60)
    assert stage.visible() == 1
    asked = stage.aws.given("change_message_visibility_batch")
    assert len(asked) < 12 * HOUR / 30 + 1
    assert asked[-1]["Entries"][0]["VisibilityTimeout"] < HIDE


@virtual
async def test_a_service_that_counts_the_twelve_hours_otherwise_does_no_harm() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    stage.faulty.plan(
        "change_message_visibility_batch", refuses(0, code="InvalidParameterValue", sender=True)
    )
    assert not await queue.extend([lease], HIDE)


@virtual
async def test_a_backoff_longer_than_what_is_left_of_twelve_hours_is_cut() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue, hide=12 * HOUR)
    await asyncio.sleep(11 * HOUR)
    await queue.release(lease, delay=2 * HOUR)
    await asyncio.sleep(HOUR)
    assert stage.visible() == 1


@virtual
async def test_a_beat_that_comes_after_a_release_does_not_undo_the_backoff() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    await queue.release(lease, delay=5.0)
    await queue.extend([lease], HIDE)
    await asyncio.sleep(10)
    assert stage.visible() == 1
