"""The adapter over boto3 and two emulators in processes of their own: requests and replies have the expected shapes.

Emulated: SQS by moto and by ministack. Their rules differ here and there from the service's, and neither can be told
the time; so the contract suites use a simulation instead.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from runner.adapters.boto import BotoAws
from runner.adapters.sqs.letters import SqsDeadLetters
from runner.adapters.sqs.queue import SqsQueue
from runner.aws import AwsError
from tests.aws.emulators import emulated, ministack, moto
from tests.sqs.stage import HIDE, task, tasks

_fleets = count(1)


@pytest.fixture(scope="module", params=["moto", "ministack"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with moto() if request.param == "moto" else ministack("sqs") as url:
        yield url


@pytest.fixture
async def aws(endpoint: str) -> AsyncIterator[BotoAws]:
    aws = emulated(endpoint)
    yield aws
    await aws.close()


class Fleet:
    """Queues of its own: two channels, and a dead-letter queue to which messages go after two receives."""

    channels = ("default", "small.2x8")

    def __init__(self, aws: BotoAws) -> None:
        self.aws = aws
        self.name = f"fleet{next(_fleets)}"
        self.dead_letters = f"{self.name}-dead-letters"

    def queue_name(self, channel: str) -> str:
        return f"{self.name}-{channel.replace('.', '-')}"

    async def create(self) -> None:
        made = await self.aws.call("sqs", "create_queue", QueueName=self.dead_letters)
        asked = await self.aws.call(
            "sqs", "get_queue_attributes", QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"]
        )
        arn = asked["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
        for channel in self.channels:
            await self.aws.call(
                "sqs",
                "create_queue",
                QueueName=self.queue_name(channel),
                Attributes={"RedrivePolicy": redrive},
            )

    def queue(self, *channels: str) -> SqsQueue:
        return SqsQueue(
            self.aws,
            time.time,
            dict.fromkeys(channels or ("default",), 0),
            name=self.queue_name,
            dead_letters=self.dead_letters,
            linger=0.0,
            fresh=0.0,
            poll=1,
        )

    def letters(self) -> SqsDeadLetters:
        return SqsDeadLetters(
            self.aws, self.channels, name=self.queue_name, dead_letters=self.dead_letters, look=0
        )

    async def write(self, channel: str, body: str) -> None:
        url = (await self.aws.call("sqs", "get_queue_url", QueueName=self.queue_name(channel)))["QueueUrl"]
        await self.aws.call("sqs", "send_message", QueueUrl=url, MessageBody=body)


@pytest.fixture
async def fleet(aws: BotoAws) -> Fleet:
    fleet = Fleet(aws)
    await fleet.create()
    return fleet


async def test_what_is_sent_is_received_and_once_completed_gone(fleet: Fleet) -> None:
    queue = fleet.queue()
    await queue.send("default", tasks(25))
    leases = await queue.receive(100, wait=0.0, hide=HIDE)
    assert sorted(lease.task for lease in leases) == tasks(25)
    await queue.complete(leases)
    assert (await queue.backlog())["default"].total == 0


async def test_depth_is_told_by_where_messages_are(fleet: Fleet) -> None:
    queue = fleet.queue()
    await queue.send("default", tasks(4))
    await queue.send("default", tasks(2), delay=600.0)
    await queue.receive(1, wait=0.0, hide=HIDE)
    depth = (await queue.backlog())["default"]
    assert (depth.visible, depth.in_flight, depth.delayed) == (3, 1, 2)


async def test_receives_are_counted_and_a_message_keeps_its_id(fleet: Fleet) -> None:
    queue = fleet.queue()
    await queue.send("default", [task(3)])
    (first,) = await queue.receive(1, wait=0.0, hide=HIDE)
    await queue.release(first)
    (second,) = await queue.receive(1, wait=0.0, hide=HIDE)
    assert (first.receives, second.receives) == (1, 2)
    assert first.message_id == second.message_id
    assert first.token != second.token


async def test_a_lease_that_is_held_is_extended(fleet: Fleet) -> None:
    queue = fleet.queue()
    await queue.send("default", tasks(12))
    leases = await queue.receive(12, wait=0.0, hide=HIDE)
    assert not await queue.extend(leases, 2 * HIDE)


async def test_a_message_that_is_gone_is_reported_lost(fleet: Fleet) -> None:
    queue, other = fleet.queue(), fleet.queue()
    await queue.send("default", [task()])
    leases = await queue.receive(1, wait=0.0, hide=HIDE)
    await other.complete(leases)
    assert list(await queue.extend(leases, HIDE)) == list(leases)


async def test_a_message_ends_the_wait_of_a_long_poll(fleet: Fleet) -> None:
    queue = fleet.queue("default", "small.2x8")
    waiting = asyncio.create_task(queue.receive(10, wait=20.0, hide=HIDE))
    await asyncio.sleep(0.2)
    await queue.send("small.2x8", [task(5)])
    assert [(lease.queue, lease.task) for lease in await waiting] == [("small.2x8", task(5))]
    await queue.close()


async def test_an_unreadable_message_becomes_a_dead_letter_that_can_be_dropped(fleet: Fleet) -> None:
    await fleet.write("small.2x8", "hello")
    assert not await fleet.queue("small.2x8").receive(10, wait=0.0, hide=HIDE)
    letters = fleet.letters()
    (letter,) = await letters.list()
    assert (letter.queue, letter.body, letter.receives) == ("small.2x8", "hello", 1)
    await letters.drop([letter.id])
    assert not await letters.list()


async def test_a_message_received_too_often_becomes_a_dead_letter_that_can_be_replayed(fleet: Fleet) -> None:
    queue = fleet.queue("small.2x8")
    await queue.send("small.2x8", [task(9)])
    for _ in range(2):
        (lease,) = await queue.receive(1, wait=0.0, hide=HIDE)
        await queue.release(lease)
    assert not await queue.receive(1, wait=0.0, hide=HIDE)
    letters = fleet.letters()
    (letter,) = await letters.list()
    assert letter.task == task(9)
    if not letter.queue:
        pytest.skip("moto does not tell where a message came from")
    assert letter.queue == "small.2x8"
    await letters.replay([letter.id])
    (fresh,) = await queue.receive(1, wait=0.0, hide=HIDE)
    assert (fresh.task, fresh.receives) == (task(9), 1)


async def test_a_missing_queue_is_named_with_what_to_do(fleet: Fleet) -> None:
    with pytest.raises(
        AwsError, match=r"on fleet\d+-nowhere failed: .*there is no such queue; `runner-controller"
    ):
        await fleet.queue("nowhere").receive(1, wait=0.0, hide=HIDE)
