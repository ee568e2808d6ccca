"""The queue's contract suite over SQS itself, with queues of their own for each test. Time is waited for: some 15
minutes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from controller.ports import DeadLetters, Records
from runner.adapters.boto import BotoAws
from runner.adapters.sqs.letters import MAX_RECEIVES, SqsDeadLetters
from runner.adapters.sqs.queue import SqsQueue
from runner.ports import Ledger, Queue
from runner.settings import FleetSettings
from tests.contracts.rigs import Rig
from tests.contracts.test_queue_contract import *  # noqa: F403

pytestmark = pytest.mark.timeout(900)

CHANNELS = ("default", "low", "middle", "high", "a", "b")
DEAD_LETTERS = "dead-letters"
_numbers = count(1)


class LiveRig:
    emulated = "nothing"
    refuses_stale_tokens = False
    exact = False

    def __init__(self, region: str, prefix: str) -> None:
        self._region = region
        self._prefix = prefix
        self._aws = BotoAws(region)
        self._queues: list[SqsQueue] = []
        self._peers: list[Rig] = []

    def now(self) -> float:
        return time.time()

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def queue(self, queues: Mapping[str, int]) -> Queue:
        made = SqsQueue(
            self._aws, time.time, queues, name=self._name, dead_letters=self._name(DEAD_LETTERS), linger=0.0
        )
        self._queues.append(made)
        return made

    def dead_letters(self) -> DeadLetters:
        return SqsDeadLetters(self._aws, CHANNELS, name=self._name, dead_letters=self._name(DEAD_LETTERS))

    def ledger(self) -> Ledger:
        raise NotImplementedError

    def records(self) -> Records:
        raise NotImplementedError

    async def peer(self) -> Rig:
        peer = LiveRig(self._region, self._prefix)
        self._peers.append(peer)
        return peer

    async def put_raw(self, queue: str, payload: str) -> None:
        found = await self._aws.call("sqs", "get_queue_url", QueueName=self._name(queue))
        await self._aws.call("sqs", "send_message", QueueUrl=found["QueueUrl"], MessageBody=payload)

    async def quarantined(self) -> Sequence[tuple[str, str]]:
        return [(letter.body, letter.reason) for letter in await self.dead_letters().list()]

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()
        for queue in self._queues:
            await queue.close()
        await self._aws.close()

    def _name(self, channel: str) -> str:
        return f"{self._prefix}-{channel}"


@pytest.fixture
def queues(name: str, clients: Callable[[str], Any]) -> Iterator[str]:
    """What their names begin with. As a deployment makes them, and gone at the end."""
    sqs, prefix = clients("sqs"), f"{name}-{next(_numbers)}"
    urls = [sqs.create_queue(QueueName=f"{prefix}-{DEAD_LETTERS}")["QueueUrl"]]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(MAX_RECEIVES)})
        for channel in CHANNELS:
            made = sqs.create_queue(QueueName=f"{prefix}-{channel}", Attributes={"RedrivePolicy": redrive})
            urls.append(made["QueueUrl"])
        yield prefix
    finally:
        for url in urls:
            sqs.delete_queue(QueueUrl=url)


@pytest.fixture
async def rig(fleet: FleetSettings, queues: str) -> AsyncIterator[Rig]:
    made = LiveRig(fleet.region, queues)
    yield made
    await made.close()


@pytest.fixture
def queue(rig: Rig) -> Queue:
    return rig.queue({"default": 0})
