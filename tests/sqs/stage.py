"""A simulated SQS in virtual time, counted, with faults on request: what the tests of the adapter begin with."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from controller.simulation.clock import now, run
from controller.simulation.services.sqs import PREFIX, SimulatedSqs
from runner.adapters.sqs.queue import SqsQueue
from runner.aws import Reply
from runner.model import Lease, TaskId
from tests.aws.wrappers import Counting, Fault, Faulty
from tests.sqs.rig import create_queues, make_queue, queue_name

HIDE = 60.0

Scene = Callable[..., Coroutine[Any, Any, None]]


def virtual(scene: Scene) -> Callable[..., None]:
    """A test in virtual time: it waits for nothing."""

    @functools.wraps(scene)
    def test(*args: Any, **kwargs: Any) -> None:
        run(scene(*args, **kwargs))

    return test


class Stage:
    """`service` is SQS itself, `faulty` what fails as planned, `aws` counts what the adapter asks of it."""

    def __init__(self, **service: Any) -> None:
        self.service = SimulatedSqs(now, **service)
        self.faulty = Faulty(self.service)
        self.aws = Counting(self.faulty)

    @classmethod
    async def set(cls, **service: Any) -> Stage:
        stage = cls(**service)
        await create_queues(stage.service)
        return stage

    def queue(self, channels: Mapping[str, int] | None = None, **settings: Any) -> SqsQueue:
        return make_queue(self.aws, now, channels, **settings)

    async def peer(self, operation: str, channel: str = "default", **parameters: Any) -> Reply:
        """A call by somebody else."""
        return await self.service.call("sqs", operation, QueueUrl=PREFIX + queue_name(channel), **parameters)

    def visible(self, channel: str = "default") -> int:
        return int(self._attributes(channel)["ApproximateNumberOfMessages"])

    def in_flight(self, channel: str = "default") -> int:
        return int(self._attributes(channel)["ApproximateNumberOfMessagesNotVisible"])

    def delayed(self, channel: str = "default") -> int:
        return int(self._attributes(channel)["ApproximateNumberOfMessagesDelayed"])

    def messages(self, channel: str = "default") -> int:
        return len(self.service.queues[queue_name(channel)])

    def _attributes(self, channel: str) -> Mapping[str, str]:
        return self.service.queues[queue_name(channel)].attributes()


def task(index: int = 0) -> TaskId:
    return TaskId("job-1", index)


def tasks(count: int) -> list[TaskId]:
    return [task(index) for index in range(count)]


async def take_one(queue: SqsQueue, hide: float = HIDE) -> Lease:
    (lease,) = await queue.receive(1, wait=0.0, hide=hide)
    return lease


async def never_answers(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def takes(seconds: float) -> Fault:
    """The call is carried out, and answered so much later."""

    async def fault(parameters: Mapping[str, Any], proceed: Callable[..., Any]) -> Reply:
        reply: Reply = await proceed()
        await asyncio.sleep(seconds)
        return reply

    return fault
