"""From mode batch to mode fleet with `batch: {}` kept: the jobs on AWS Batch are followed to their end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from runner.model import BATCH, Status
from runner.routing import Routes
from tests.batch.worlds import BatchWorld, scene, settings_of


def change_mode(world: BatchWorld, mode: str) -> None:
    """With the controller started anew, as `deploy` does it."""
    of, settings = world.world, settings_of(mode)
    of.controllers["controller"].kill(restart=None)
    of.settings, of.routes = settings, Routes.of(settings)
    of.of = replace(of.of, settings=settings, routes=of.routes)
    of.start_controller()


async def running(world: BatchWorld, job_id: str) -> None:
    async with asyncio.timeout(600):
        while (await world.world.job(job_id)).counts.running == 0:
            await asyncio.sleep(1)


def test_jobs_on_aws_batch_are_followed_to_their_end_beside_those_of_the_machines() -> None:
    async def play(world: BatchWorld) -> None:
        change_mode(world, "batch")
        before = await world.submit(name="before", image="busybox", command=["true"], array=3)
        await running(world, before)
        change_mode(world, "fleet")
        after = await world.submit(name="after", image="busybox", command=["true"], array=3)
        ended = [await world.world.until_ended(each) for each in (before, after)]
        assert [(each.job.backend, each.status) for each in ended] == [
            (BATCH, Status.SUCCEEDED),
            ("", Status.SUCCEEDED),
        ]
        assert [each.counts.succeeded for each in ended] == [3, 3]
        assert len(world.batch.called("submit_job")) == 1

    scene(play)
