"""What the queue costs: requests for each short task, counted. Emulated: SQS and the tasks, in virtual time.

Every answer takes some milliseconds, as over a network: without that, an agent would ask for each message alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.simulation.clock import now, run
from controller.simulation.services.sqs import SimulatedSqs
from runner.adapters.sqs.queue import SqsQueue
from runner.agent.loop import Agent
from runner.aws import Aws, Reply
from runner.model import Lease, TaskId
from runner.records import JobRecord
from tests.agent.fakes import Behaviour
from tests.agent.world import World, a_job
from tests.aws.wrappers import Counting
from tests.sqs.rig import create_queues, make_queue
from tests.sqs.stage import tasks, virtual

SLOTS = 16
TASKS = 2000
BUDGET = 0.35  # requests for a task: send, receive, delete and what else there is

# Of a fleet, by default: seconds that a message is hidden, and between beats.
LEASE, BEAT = 60.0, 10.0


class Distant:
    """Each call takes some time, there and back."""

    def __init__(self, aws: Aws, seconds: float = 0.01) -> None:
        self._aws = aws
        self._seconds = seconds

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        await asyncio.sleep(self._seconds / 2)
        reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        await asyncio.sleep(self._seconds / 2)
        return reply

    async def close(self) -> None: ...


async def counted(channels: Mapping[str, int]) -> tuple[Counting, SqsQueue]:
    service = SimulatedSqs(now)
    await create_queues(service)
    counting = Counting(Distant(service))
    return counting, make_queue(counting, now, channels)


class Machine:
    """Takes tasks whenever it has a free slot, and asks for as many as it has. Each runs for so many seconds."""

    def __init__(self, queue: SqsQueue, seconds: float) -> None:
        self._queue = queue
        self._seconds = seconds
        self._free = SLOTS
        self._changed = asyncio.Event()
        self.done = 0

    async def run(self, count: int) -> None:
        running: set[asyncio.Task[None]] = set()
        while self.done + len(running) < count:
            if not self._free:
                self._changed.clear()
                await self._changed.wait()
            for lease in await self._queue.receive(self._free, wait=1.0, hide=LEASE):
                self._free -= 1
                task = asyncio.create_task(self._execute(lease))
                running.add(task)
                task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        await self._queue.close()

    async def _execute(self, lease: Lease) -> None:
        # Not all the same, so that slots become free one by one.
        await asyncio.sleep(self._seconds * (0.75 + 0.5 * (lease.task.index * 37 % 100) / 100))
        self._free += 1
        self._changed.set()
        self.done += 1
        await self._queue.complete([lease])


@pytest.mark.parametrize("seconds", [0.05, 0.5, 1.0, 3.0, 5.0, 9.9])
@virtual
async def test_a_task_shorter_than_a_beat_costs_little_on_a_busy_agent(seconds: float) -> None:
    aws, queue = await counted({"default": 0})
    await queue.send("default", tasks(TASKS))
    await Machine(queue, seconds).run(TASKS)
    assert aws.requests.total() / TASKS <= BUDGET, aws.requests


@virtual
async def test_it_costs_little_with_several_channels_too() -> None:
    aws, queue = await counted({"high": 2, "middle": 1, "low": 0, "a": 0, "b": 0})
    await asyncio.gather(*(queue.send(channel, tasks(TASKS // 2)) for channel in ("middle", "low")))
    await Machine(queue, 1.0).run(TASKS)
    assert aws.requests.total() / TASKS <= BUDGET, aws.requests


@virtual
async def test_hardly_a_message_is_received_more_often_than_it_is_run() -> None:
    aws, queue = await counted({"high": 1, "low": 0})
    await asyncio.gather(*(queue.send(channel, tasks(TASKS // 2)) for channel in ("high", "low")))
    await Machine(queue, 1.0).run(TASKS)
    given_back = sum(len(given["Entries"]) for given in aws.given("change_message_visibility_batch"))
    assert given_back <= TASKS / 50


def test_a_real_agent_stays_within_the_budget(tmp_path: Path) -> None:
    """Its beats, which count too, come every 2 s here, five times as often as in a fleet; the ledger is in memory."""

    async def scene() -> Counting:
        aws, queue = await counted({"default": 0})
        world = World(tmp_path, lambda spec: Behaviour(seconds=0.5))
        world.queue = queue  # type: ignore[assignment]
        job = a_job(TASKS)
        await world.records.register(job)
        await queue.send("default", tasks_of(job.id))
        agent = world.agent(vcpus=float(SLOTS), memory=64 * 1024**3)
        working = asyncio.create_task(agent.run())
        record = await world.until_over()
        await finish(agent, working, queue)
        assert all_succeeded(record)
        return aws

    aws = run(scene())
    assert aws.requests.total() / TASKS <= BUDGET, aws.requests


def tasks_of(job_id: str) -> list[TaskId]:
    return [TaskId(job_id, index) for index in range(TASKS)]


def all_succeeded(record: JobRecord) -> bool:
    return record.counts.succeeded == TASKS


async def finish(agent: Agent, working: asyncio.Task[None], queue: SqsQueue) -> None:
    agent.drain()
    await working
    await queue.close()
