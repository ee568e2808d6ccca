"""Sends: batches, entries that fail alone, errors. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.clock import now
from runner.aws import AwsError, Trouble
from runner.errors import Unavailable
from tests.aws.wrappers import fails, refuses
from tests.sqs.stage import Stage, task, tasks, virtual


@virtual
async def test_ten_messages_share_a_request() -> None:
    stage = await Stage.set()
    await stage.queue().send("default", tasks(25))
    assert stage.aws.requests["send_message_batch"] == 3
    assert stage.visible() == 25


@virtual
async def test_the_address_of_a_queue_is_asked_for_once() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await asyncio.gather(*(queue.send("default", [task()]) for _ in range(5)))
    assert stage.aws.requests["get_queue_url"] == 1


@virtual
async def test_a_message_can_be_sent_to_a_channel_that_is_not_received_from() -> None:
    stage = await Stage.set()
    await stage.queue({"default": 0}).send("small.2x8.od", [task()])
    assert stage.visible("small.2x8.od") == 1


@virtual
async def test_only_the_entries_that_failed_are_sent_again() -> None:
    stage = await Stage.set()
    stage.faulty.plan("send_message_batch", refuses(2, 5), refuses(0))
    await stage.queue().send("default", tasks(10))
    sizes = [len(given["Entries"]) for given in stage.aws.given("send_message_batch")]
    assert sizes == [10, 2, 1]
    assert stage.visible() == 10


@virtual
async def test_entries_are_tried_again_ever_later() -> None:
    stage = await Stage.set()
    stage.faulty.plan("send_message_batch", *(refuses(0) for _ in range(4)))
    began = now()
    await stage.queue().send("default", [task()])
    assert 0.5 < now() - began < 3.0


@virtual
async def test_an_entry_that_fails_for_ever_is_an_error_that_names_action_and_queue() -> None:
    stage = await Stage.set()
    stage.faulty.plan("send_message_batch", *(refuses(0) for _ in range(20)))
    with pytest.raises(
        AwsError, match=r"sqs:SendMessageBatch on fleet-default failed: InternalError: 1 of 1"
    ):
        await stage.queue().send("default", [task()])


@virtual
async def test_an_entry_that_is_refused_for_what_it_is_is_not_tried_again() -> None:
    stage = await Stage.set()
    stage.faulty.plan("send_message_batch", refuses(0, code="InvalidMessageContents", sender=True))
    with pytest.raises(AwsError):
        await stage.queue().send("default", [task()])
    assert stage.aws.requests["send_message_batch"] == 1


@virtual
async def test_a_throttled_entry_is_tried_again_though_it_is_called_the_senders_fault() -> None:
    stage = await Stage.set()
    stage.faulty.plan("send_message_batch", refuses(0, code="RequestThrottled", sender=True))
    await stage.queue().send("default", [task()])
    assert stage.visible() == 1


@virtual
async def test_a_failing_batch_does_not_keep_the_others_from_being_sent() -> None:
    stage = await Stage.set()
    stage.faulty.plan("send_message_batch", fails("InternalError"))
    with pytest.raises(AwsError):
        await stage.queue().send("default", tasks(30))
    assert stage.visible() == 20


@virtual
async def test_a_delay_longer_than_the_service_knows_is_cut() -> None:
    stage = await Stage.set()
    await stage.queue().send("default", [task()], delay=5000.0)
    assert [given["Entries"][0]["DelaySeconds"] for given in stage.aws.given("send_message_batch")] == [900]


@virtual
async def test_part_of_a_second_delays_for_a_whole_one() -> None:
    stage = await Stage.set()
    await stage.queue().send("default", [task()], delay=0.2)
    assert stage.delayed() == 1


@virtual
async def test_a_missing_queue_is_named_with_what_to_do() -> None:
    stage = Stage()
    with pytest.raises(
        Unavailable, match=r"sqs:GetQueueUrl on fleet-default failed.*no such queue; `runner-con"
    ):
        await stage.queue().send("default", [task()])


@virtual
async def test_a_queue_that_was_deleted_is_missed_as_one_that_never_was() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.send("default", [task()])
    del stage.service.queues["fleet-default"]
    with pytest.raises(
        AwsError, match=r"sqs:SendMessageBatch on fleet-default failed.*`runner-controller deploy`"
    ):
        await queue.send("default", [task()])


@virtual
async def test_wrong_credentials_are_named_with_what_to_do() -> None:
    stage = await Stage.set()
    stage.faulty.plan("get_queue_url", fails("InvalidClientTokenId", Trouble.DENIED))
    with pytest.raises(AwsError, match="check the credentials"):
        await stage.queue().send("default", [task()])
