"""Deletes and releases, and how they wait for company. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.services.sqs_behaviour import SOON
from runner.adapters.sqs.batches import TRIES
from runner.adapters.sqs.queue import PAUSES, SqsQueue
from runner.aws import AwsError, Trouble
from tests.aws.wrappers import fails, loses_the_reply, refuses
from tests.sqs.stage import HIDE, Stage, take_one, task, tasks, virtual


@virtual
async def test_deletes_of_many_tasks_share_a_request() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(10))
    for lease in await queue.receive(10, wait=0.0, hide=HIDE):
        await queue.complete([lease])
        await asyncio.sleep(0.1)
    assert stage.aws.requests["delete_message_batch"] == 1
    assert stage.messages() == 0


@virtual
async def test_a_delete_without_company_does_not_wait_for_long() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=1.0)
    await queue.send("default", [task()])
    await queue.complete([await take_one(queue)])
    assert stage.messages() == 1
    await asyncio.sleep(1.1)
    assert stage.messages() == 0


@virtual
async def test_a_delete_is_sent_before_its_message_shows_again() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=30.0)
    await queue.send("default", [task()])
    await queue.complete([await take_one(queue, hide=10.0)])
    await asyncio.sleep(9.0)
    assert stage.messages() == 0


@virtual
async def test_deletes_of_tasks_that_outlived_their_first_lease_share_a_request() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(10))
    leases = await queue.receive(10, wait=0.0, hide=HIDE)
    for _ in range(10):
        await asyncio.sleep(HIDE / 6)
        await queue.extend(leases, HIDE)
    for lease in leases:
        await queue.complete([lease])
        await asyncio.sleep(0.1)
    assert stage.aws.requests["delete_message_batch"] == 1


@virtual
async def test_a_delete_is_sent_before_its_message_shows_again_if_the_last_extension_failed() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=30.0)
    await queue.send("default", [task()])
    lease = await take_one(queue, hide=20.0)
    stage.faulty.plan("change_message_visibility_batch", *(refuses(0) for _ in range(TRIES)))
    await asyncio.sleep(10)
    with pytest.raises(AwsError):
        await queue.extend([lease], HIDE)
    await queue.complete([lease])
    await asyncio.sleep(9.0)
    assert stage.messages() == 0


@virtual
async def test_a_delete_is_sent_before_the_twelve_hours_are_over() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=600.0)
    await queue.send("default", [task()])
    lease = await take_one(queue, hide=43200.0 - 400)
    await asyncio.sleep(43200.0 - 500)
    await queue.extend([lease], 3600.0)
    await queue.complete([lease])
    await asyncio.sleep(499)
    assert stage.messages() == 0


@virtual
async def test_flushing_sends_what_waits() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=30.0)
    await queue.send("default", [task()])
    await queue.complete([await take_one(queue)])
    await queue.flush()
    assert stage.messages() == 0


@virtual
async def test_closing_sends_what_waits() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=30.0)
    await queue.send("default", [task()])
    await queue.complete([await take_one(queue)])
    await queue.close()
    assert stage.messages() == 0


@virtual
async def test_deletes_are_kept_by_queue() -> None:
    stage = await Stage.set()
    queue = stage.queue({"high": 1, "low": 0})
    for channel in ("high", "low"):
        await queue.send(channel, [task()])
    await queue.complete(await queue.receive(2, wait=0.0, hide=HIDE))
    await queue.flush()
    assert (stage.messages("high"), stage.messages("low")) == (0, 0)


@virtual
async def test_a_delete_that_failed_within_the_service_is_tried_again() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=0.0)
    await queue.send("default", tasks(3))
    leases = await queue.receive(3, wait=0.0, hide=HIDE)
    stage.faulty.plan("delete_message_batch", refuses(1))
    await queue.complete(leases)
    assert stage.messages() == 0


@virtual
async def test_a_request_to_delete_that_failed_is_tried_again() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=0.0)
    await queue.send("default", [task()])
    stage.faulty.plan(
        "delete_message_batch", fails("InternalError"), fails("RequestThrottled", Trouble.THROTTLED)
    )
    await queue.complete([await take_one(queue)])
    assert stage.messages() == 0


@virtual
async def test_a_delete_whose_answer_was_lost_is_harmless() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=0.0)
    await queue.send("default", [task()])
    stage.faulty.plan("delete_message_batch", loses_the_reply)
    await queue.complete([await take_one(queue)])
    assert stage.messages() == 0


async def completed_and_received_again(stage: Stage, queue: SqsQueue) -> None:
    stage.service.behaviour.duplicates = stage.service.behaviour.stale = 1.0
    await queue.send("default", [task()])
    await queue.complete([await take_one(queue)])
    await asyncio.sleep(SOON)
    stage.service.behaviour.duplicates = 0.0
    await take_one(queue)


@virtual
async def test_a_delete_that_waits_is_not_sent_once_its_message_came_again() -> None:
    stage = await Stage.set()
    await completed_and_received_again(stage, stage.queue(linger=30.0))
    await asyncio.sleep(31)
    assert stage.messages() == 1


@virtual
async def test_a_delete_that_failed_is_not_tried_again_once_its_message_came_again() -> None:
    stage = await Stage.set()
    stage.faulty.plan("delete_message_batch", *(fails("InternalError"),) * len(PAUSES))
    await completed_and_received_again(stage, stage.queue(linger=0.1))
    await asyncio.sleep(sum(PAUSES))
    assert stage.messages() == 1


@virtual
async def test_what_has_company_is_deleted_though_another_message_came_again() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=30.0)
    await queue.send("default", [task(1)])
    await queue.complete([await take_one(queue)])
    await completed_and_received_again(stage, queue)
    await asyncio.sleep(31)
    assert stage.messages() == 1


@virtual
async def test_a_release_that_waits_is_not_sent_once_its_message_came_again() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    lease = await take_one(queue)
    release = asyncio.create_task(queue.release(lease, delay=900.0))
    await asyncio.sleep(0)
    await stage.peer("change_message_visibility", ReceiptHandle=lease.token, VisibilityTimeout=0)
    await take_one(queue)
    await release
    assert not stage.aws.given("change_message_visibility_batch")


@virtual
async def test_a_delete_that_fails_for_good_leaves_the_message_to_come_back() -> None:
    stage = await Stage.set()
    queue = stage.queue(linger=0.0)
    await queue.send("default", [task()])
    stage.faulty.plan("delete_message_batch", fails("AccessDenied", Trouble.DENIED))
    await queue.complete([await take_one(queue)])
    await asyncio.sleep(HIDE + 1)
    assert stage.visible() == 1


@virtual
async def test_releases_at_the_same_time_share_a_request() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(8))
    leases = await queue.receive(8, wait=0.0, hide=HIDE)
    await asyncio.gather(*(queue.release(lease, delay=5.0) for lease in leases))
    assert stage.aws.requests["change_message_visibility_batch"] == 1


@virtual
async def test_a_released_message_shows_within_a_moment() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    began = asyncio.get_running_loop().time()
    await queue.release(await take_one(queue))
    assert stage.visible() == 1
    assert asyncio.get_running_loop().time() - began < 0.2


@virtual
async def test_a_cancelled_release_does_not_cancel_those_that_it_shares_a_request_with() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", tasks(2))
    one, two = await queue.receive(2, wait=0.0, hide=HIDE)
    releases = [asyncio.create_task(queue.release(lease)) for lease in (one, two)]
    await asyncio.sleep(0.01)
    releases[0].cancel()
    await asyncio.gather(*releases, return_exceptions=True)
    assert stage.visible() == 2
