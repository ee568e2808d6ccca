"""SqsQueue over a simulated SQS: what the contract suites and the tests here need of it.

Emulated: SQS (`controller.simulation.services.sqs`), whose clock is moved by hand, or is the virtual loop's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from controller.simulation.services.sqs import SimulatedSqs
from controller.simulation.services.sqs_messages import ARN
from runner.adapters.sqs.letters import MAX_RECEIVES, SqsDeadLetters
from runner.adapters.sqs.queue import SqsQueue
from runner.aws import Aws
from runner.ports import Clock

FLEET = "fleet"
DEAD_LETTERS = f"{FLEET}-dead-letters"
CHANNELS = ("default", "low", "middle", "high", "a", "b", "small.2x8", "small.2x8.od")


def queue_name(channel: str) -> str:
    return f"{FLEET}-{channel.replace('.', '-')}"


async def create_queues(
    aws: Aws, channels: Sequence[str] = CHANNELS, *, dead_letters_arn: str = ARN + DEAD_LETTERS
) -> None:
    """As a deployment makes them."""
    await aws.call("sqs", "create_queue", QueueName=DEAD_LETTERS)
    redrive = json.dumps({"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": str(MAX_RECEIVES)})
    for channel in channels:
        await aws.call(
            "sqs", "create_queue", QueueName=queue_name(channel), Attributes={"RedrivePolicy": redrive}
        )


def make_queue(aws: Aws, now: Clock, channels: Mapping[str, int] | None = None, **settings: Any) -> SqsQueue:
    """One whose retries do not depend on chance."""
    return SqsQueue(
        aws,
        now,
        {"default": 0} if channels is None else channels,
        name=queue_name,
        dead_letters=DEAD_LETTERS,
        jitter=lambda: 0.5,
        **settings,
    )


def make_letters(aws: Aws, channels: Sequence[str] = CHANNELS, *, look: int = 1) -> SqsDeadLetters:
    return SqsDeadLetters(aws, channels, name=queue_name, dead_letters=DEAD_LETTERS, look=look)


class SqsSide:
    """The queue's part of a contract rig. Deletes do not linger, and depths are asked anew each time: the suites look
    at what was done at once."""

    emulated = (
        "SQS in memory, its clock moved by hand; its counts are exact, as SQS's are not; expired handles are obeyed; "
        "peers share the service"
    )
    refuses_stale_tokens = False
    exact = True

    def __init__(self, now: Clock, service: SimulatedSqs) -> None:
        self._now = now
        self.service = service

    @classmethod
    async def make(cls, now: Clock) -> SqsSide:
        service = SimulatedSqs(now, obeys_expired=True)
        await create_queues(service)
        return cls(now, service)

    def queue(self, queues: Mapping[str, int]) -> SqsQueue:
        return make_queue(self.service, self._now, queues, linger=0.0, fresh=0.0)

    def letters(self) -> SqsDeadLetters:
        return make_letters(self.service, look=0)

    def moved(self) -> None:
        """The clock was."""
        self.service.wake()

    async def put_raw(self, queue: str, payload: str) -> None:
        await asyncio.sleep(0)
        self.service.put(queue_name(queue), payload)

    async def quarantined(self) -> Sequence[tuple[str, str]]:
        return [(letter.body, letter.reason) for letter in await self.letters().list(100_000)]
