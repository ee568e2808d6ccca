"""Jobs on a fleet's machines and on AWS Batch come after each other; retry and cancel go through all of them.

Everything simulated but the supervisor, the agents and the adapters; virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from controller import submission
from controller.simulation.clock import now
from controller.simulation.services.batch_job import Run
from controller.simulation.workload import Behaviour
from runner.model import Status
from runner.ports import ContainerSpec
from tests.batch.stage import index_of
from tests.batch.worlds import BatchWorld, scene

OK, BAD = ["work"], ["work", "badly"]


class Broken:
    """Jobs whose command is BAD fail while this holds."""

    def __init__(self) -> None:
        self.now = True

    def on_batch(self, _env: Mapping[str, str], command: Sequence[str]) -> Run:
        return Run(60.0, 1 if self.now and command[-1] == "badly" else 0)

    def on_machines(self, spec: ContainerSpec) -> Behaviour:
        return Behaviour(60.0, 1 if self.now and spec.command[-1] == "badly" else 0)


def never_ends(_env: Mapping[str, str], _command: Sequence[str]) -> Run:
    return Run(1e6)


async def chain(world: BatchWorld, *commands: Sequence[str]) -> list[str]:
    """On machines, on AWS Batch, and on machines again."""
    ids: list[str] = []
    for backend, command in zip((None, "batch", None), commands, strict=True):
        keys: dict[str, Any] = {"backend": backend} if backend else {}
        name = f"part-{len(ids)}"
        ids.append(await world.submit(name=name, image="i", command=command, array=3, after=ids[-1:], **keys))
    return ids


async def statuses(world: BatchWorld, ids: Sequence[str]) -> list[Status]:
    return [(await world.world.job(job_id)).status for job_id in ids]


def test_a_chain_goes_from_machines_to_aws_batch_and_back() -> None:
    async def play(world: BatchWorld) -> None:
        ids = await chain(world, OK, OK, OK)
        await world.world.until_ended(ids[-1])
        first, second, third = [await world.world.job(job_id) for job_id in ids]
        assert [each.status for each in (first, second, third)] == [Status.SUCCEEDED] * 3
        assert first.last_finished_at is not None
        assert second.first_started_at is not None
        assert first.last_finished_at <= second.first_started_at
        assert second.last_finished_at is not None
        assert third.first_started_at is not None
        assert second.last_finished_at <= third.first_started_at
        assert [len(job.children) for job in world.batch.jobs.values()] == [3]

    broken = Broken()
    scene(play, program=broken.on_batch, behave=broken.on_machines)


def test_a_failure_on_aws_batch_ends_what_comes_after_and_retry_opens_both() -> None:
    broken = Broken()

    async def play(world: BatchWorld) -> None:
        ids = await chain(world, OK, BAD, OK)
        await world.world.until_ended(ids[-1])
        assert await statuses(world, ids) == [Status.SUCCEEDED, Status.FAILED, Status.FAILED]
        broken.now = False
        record = await world.world.job(ids[1])
        reopened = await submission.retry(world.records, record, now, downstream=True)
        assert [(each.record.job.id, each.tasks) for each in reopened] == [(ids[1], 3), (ids[2], 3)]
        await world.world.until_ended(ids[-1])
        assert await statuses(world, ids) == [Status.SUCCEEDED] * 3
        assert (await world.world.job(ids[0])).round == 1

    scene(play, program=broken.on_batch, behave=broken.on_machines)


def test_a_failure_on_machines_keeps_what_is_for_aws_batch_from_being_submitted() -> None:
    broken = Broken()

    async def play(world: BatchWorld) -> None:
        ids = await chain(world, BAD, OK, OK)
        await world.world.until_ended(ids[-1])
        assert await statuses(world, ids) == [Status.FAILED] * 3
        assert not world.batch.jobs
        broken.now = False
        record = await world.world.job(ids[0])
        await submission.retry(world.records, record, now, downstream=True)
        await world.world.until_ended(ids[-1])
        assert await statuses(world, ids) == [Status.SUCCEEDED] * 3

    scene(play, program=broken.on_batch, behave=broken.on_machines)


def test_a_cancel_on_aws_batch_stops_it_there_and_ends_what_comes_after() -> None:
    async def play(world: BatchWorld) -> None:
        ids = await chain(world, OK, OK, OK)
        async with asyncio.timeout(3600):
            while (await world.world.job(ids[1])).counts.running < 3:
                await asyncio.sleep(5)
        await world.world.cancel(ids[1])
        await world.world.until_ended(ids[-1], 600)
        await asyncio.sleep(60)
        assert await statuses(world, ids) == [Status.SUCCEEDED, Status.CANCELLED, Status.FAILED]
        assert all(job.over for job in world.batch.jobs.values())

    scene(play, program=never_ends, behave=Broken().on_machines)


def test_a_job_on_aws_batch_starts_no_machine() -> None:
    async def play(world: BatchWorld) -> None:
        job_id = await world.submit(name="a", image="i", command=OK, array=50, backend="batch")
        await world.world.until_ended(job_id)
        assert not world.world.machines

    scene(play, program=Broken().on_batch)


def test_a_controller_that_is_killed_again_and_again_records_every_task_once() -> None:
    seen: list[int] = []

    def noted(env: Mapping[str, str], command: Sequence[str]) -> Run:
        seen.append(index_of(env, command))
        return Run(30.0)

    async def play(world: BatchWorld) -> None:
        job_id = await world.submit(name="a", image="i", command=OK, array="5-9", backend="batch")
        for _ in range(8):
            await asyncio.sleep(7)
            world.world.controllers["controller"].kill(restart=3.0)
        record = await world.world.until_ended(job_id)
        assert (record.status, record.counts.succeeded) == (Status.SUCCEEDED, 5)
        assert sorted(seen) == [5, 6, 7, 8, 9]

    scene(play, program=noted)


def test_of_two_controllers_one_submits() -> None:
    async def play(world: BatchWorld) -> None:
        world.world.start_controller("other", skew=5.0)
        job_id = await world.submit(name="a", image="i", command=OK, array=3, backend="batch")
        await world.world.until_ended(job_id)
        assert len(world.batch.jobs) == 1

    scene(play, program=Broken().on_batch)
