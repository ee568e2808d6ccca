"""How deep the queues are. Emulated: SQS, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from controller.simulation.clock import now
from runner.aws import AwsError
from tests.aws.wrappers import answers, fails
from tests.sqs.stage import HIDE, Stage, tasks, virtual

COUNTS = {
    "ApproximateNumberOfMessages": "7",
    "ApproximateNumberOfMessagesNotVisible": "110000",
    "ApproximateNumberOfMessagesDelayed": "1",
}


@virtual
async def test_an_answer_serves_for_a_few_seconds() -> None:
    stage = await Stage.set()
    queue = stage.queue({"high": 1, "low": 0})
    for _ in range(10):
        await queue.backlog()
        await asyncio.sleep(1)
    assert stage.aws.requests["get_queue_attributes"] == 2 * 2


@virtual
async def test_an_old_answer_says_how_old_it_is() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    asked_at = now()
    await queue.backlog()
    await asyncio.sleep(3)
    assert (await queue.backlog())["default"].as_of == asked_at


@virtual
async def test_depth_is_told_by_channel_and_not_by_the_name_of_the_queue() -> None:
    stage = await Stage.set()
    queue = stage.queue({"small.2x8.od": 0})
    await queue.send("small.2x8.od", tasks(3))
    assert {channel: depth.visible for channel, depth in (await queue.backlog()).items()} == {
        "small.2x8.od": 3
    }


@pytest.mark.parametrize(
    "wrong", [{}, {"Attributes": {}}, {"Attributes": {**COUNTS, "ApproximateNumberOfMessages": "?"}}]
)
@virtual
async def test_an_answer_without_numbers_is_an_error_and_not_nothing(wrong: object) -> None:
    stage = await Stage.set()
    stage.faulty.plan("get_queue_attributes", answers(wrong))  # type: ignore[arg-type]
    with pytest.raises(AwsError, match="sqs:GetQueueAttributes on fleet-default failed: MalformedReply"):
        await stage.queue().backlog()


@virtual
async def test_a_failure_is_an_error_and_not_an_old_answer() -> None:
    stage = await Stage.set()
    queue = stage.queue()
    await queue.backlog()
    await asyncio.sleep(10)
    stage.faulty.plan("get_queue_attributes", fails("InternalError"))
    with pytest.raises(AwsError):
        await queue.backlog()


@virtual
async def test_nearly_too_many_messages_in_flight_are_warned_of_once() -> None:
    stage = await Stage.set()
    queue = stage.queue(fresh=0.0)
    stage.faulty.plan("get_queue_attributes", *(answers({"Attributes": COUNTS}) for _ in range(3)))
    with capture_logs() as said:
        for _ in range(3):
            await queue.backlog()
    assert [line["event"] for line in said] == ["nearly too many messages in flight"]


@virtual
async def test_a_receive_at_the_limit_is_warned_of_once() -> None:
    stage = await Stage.set(in_flight_limit=2)
    queue = stage.queue()
    await queue.send("default", tasks(5))
    await queue.receive(2, wait=0.0, hide=HIDE)
    with capture_logs() as said:
        for _ in range(5):
            await queue.receive(2, wait=0.0, hide=HIDE)
    assert [line["event"] for line in said] == ["too many messages in flight, none more come"]
