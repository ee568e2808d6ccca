"""Jobs on a fleet's machines, on AWS Batch and on Amazon EMR come after each other; retry and cancel go through all.

Everything simulated but the supervisor, the agents and the adapters; virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller import submission
from controller.simulation.clock import now
from controller.simulation.play import play
from controller.simulation.services.batch_job import Run
from controller.simulation.services.emr import SimulatedEmr
from controller.simulation.workload import Behaviour
from runner.emr_settings import EmrSettings
from runner.model import Status
from runner.ports import ContainerSpec
from tests.batch.worlds import BatchWorld, settings_of
from tests.emr.stage import Does

CLUSTER = {"release": "emr-7.5.0", "main": "m6i.xlarge"}


def on_machines(_spec: ContainerSpec) -> Behaviour:
    return Behaviour(60.0, 0)


def on_batch(_env: Mapping[str, str], _command: Sequence[str]) -> Run:
    return Run(60.0)


class MixedWorld:
    def __init__(self, world: BatchWorld, emr: SimulatedEmr) -> None:
        self.world, self.emr = world, emr

    async def chain(self) -> list[str]:
        """On machines, on Amazon EMR, on AWS Batch."""
        keys: list[dict[str, Any]] = [{"image": "i"}, {"emr": CLUSTER}, {"image": "i", "backend": "batch"}]
        ids: list[str] = []
        for each in keys:
            name = f"part-{len(ids)}"
            ids.append(await self.world.submit(name=name, command=["work"], after=ids[-1:], **each))
        return ids

    async def until_ended(self, job_id: str, within: float = 7200.0) -> None:
        await self.world.world.until_ended(job_id, within)

    async def statuses(self, ids: Sequence[str]) -> list[Status]:
        return [(await self.world.world.job(job_id)).status for job_id in ids]


def scene(scenario: Callable[[MixedWorld], Awaitable[None]], does: Does) -> None:
    emr = EmrSettings("sim", "us-east-1")

    def started(world: Any) -> Awaitable[None]:
        service = SimulatedEmr(does)
        world.network.services["emr"] = service
        return scenario(MixedWorld(BatchWorld(world, on_batch), service))

    play(started, settings=replace(settings_of(), emr=emr), behave=on_machines)


def test_a_chain_goes_from_machines_to_a_cluster_to_aws_batch() -> None:
    async def scenario(mixed: MixedWorld) -> None:
        ids = await mixed.chain()
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.SUCCEEDED] * 3
        (cluster,) = mixed.emr.clusters.values()
        first, _, third = [await mixed.world.world.job(job_id) for job_id in ids]
        assert first.last_finished_at is not None
        assert third.first_started_at is not None
        assert cluster.ended is not None
        assert first.last_finished_at <= cluster.created
        assert cluster.ended <= third.first_started_at

    scene(scenario, Does())


def test_a_cluster_that_failed_ends_what_comes_after_and_retry_opens_both() -> None:
    async def scenario(mixed: MixedWorld) -> None:
        ids = await mixed.chain()
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.SUCCEEDED, Status.FAILED, Status.FAILED]
        record = await mixed.world.world.job(ids[1])
        await submission.retry(mixed.world.records, record, now, downstream=True)
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.SUCCEEDED] * 3
        assert [each.state for each in mixed.emr.clusters.values()] == [
            "TERMINATED_WITH_ERRORS",
            "TERMINATED",
        ]

    scene(scenario, Does(failing={"work": 1}))


def test_a_cancel_terminates_the_cluster_and_ends_what_comes_after() -> None:
    async def scenario(mixed: MixedWorld) -> None:
        ids = await mixed.chain()
        async with asyncio.timeout(3600):
            while not mixed.emr.alive():
                await asyncio.sleep(5)
        await mixed.world.world.cancel(ids[1])
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.SUCCEEDED, Status.CANCELLED, Status.FAILED]
        assert not mixed.emr.alive()

    scene(scenario, Does(seconds=86400.0))


def test_a_cancel_of_the_first_starts_no_cluster_and_retry_of_it_opens_all() -> None:
    async def scenario(mixed: MixedWorld) -> None:
        ids = await mixed.chain()
        await asyncio.sleep(20)
        await mixed.world.world.cancel(ids[0])
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.CANCELLED, Status.FAILED, Status.FAILED]
        assert not mixed.emr.clusters
        record = await mixed.world.world.job(ids[0])
        await submission.retry(mixed.world.records, record, now, downstream=True)
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.SUCCEEDED] * 3
        assert len(mixed.emr.clusters) == 1

    scene(scenario, Does())


def test_a_retry_while_the_cancelled_cluster_still_goes_down_starts_another_and_the_chain_goes_on() -> None:
    async def scenario(mixed: MixedWorld) -> None:
        ids = await mixed.chain()
        async with asyncio.timeout(3600):
            while not mixed.emr.alive():
                await asyncio.sleep(5)
        await mixed.world.world.cancel(ids[1])
        async with asyncio.timeout(300):
            while mixed.emr.alive():
                await asyncio.sleep(5)
        record = await mixed.world.world.job(ids[1])
        await submission.retry(mixed.world.records, record, now, downstream=True)
        await mixed.until_ended(ids[-1])
        assert await mixed.statuses(ids) == [Status.SUCCEEDED] * 3
        codes = [each.code for each in mixed.emr.clusters.values()]
        assert codes == ["USER_REQUEST", "ALL_STEPS_COMPLETED"]

    scene(scenario, Does())


def test_whoever_supervises_is_killed_again_and_again_and_each_part_runs_once() -> None:
    does = Does()

    async def scenario(mixed: MixedWorld) -> None:
        world, ids = mixed.world.world, await mixed.chain()
        parts = {"after": [ids[0], ids[2]], "name": "last", "command": ["work"], "emr": CLUSTER}
        ids.append(await mixed.world.submit(**parts))
        world.start_controller("second")
        for number in range(20):
            await asyncio.sleep(29 + 7 * number)
            list(world.controllers.values())[number % 2].kill()
        await mixed.until_ended(ids[-1], 20_000)
        assert await mixed.statuses(ids) == [Status.SUCCEEDED] * 4
        assert [each.name for each in mixed.emr.clusters.values()] == ["sim/job-2/1/1", "sim/job-4/1/1"]
        assert len(does.ran) == 2

    scene(scenario, does)


def test_a_cluster_is_no_reason_for_machines() -> None:
    async def scenario(mixed: MixedWorld) -> None:
        job_id = await mixed.world.submit(name="alone", command=["work"], emr=CLUSTER)
        await mixed.until_ended(job_id)
        assert not mixed.world.world.network.requests["autoscaling", "set_desired_capacity"]

    scene(scenario, Does())
