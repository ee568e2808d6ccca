"""Messages that point to nothing, and arrays whose items cannot be read. Real agents in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runner.adapters.manifests import FileManifests
from runner.array import Array
from runner.model import Charge, Kind, Status, TaskId
from tests.agent.play import Play, started
from tests.agent.world import World, a_job


async def put_aside(world: World, task: TaskId) -> list[tuple[str]]:
    """The reasons for which messages were quarantined, once an agent has seen one that points to `task`."""
    await world.queue.send("default", [task])
    started(world.agent())
    await asyncio.sleep(60)
    assert (await world.queue.backlog())["default"].total == 0
    return world.database.peek(lambda c: c.execute("SELECT reason FROM dead_letters").fetchall())


def test_a_message_for_an_unknown_job_is_quarantined(play: Play) -> None:
    async def scene(world: World) -> None:
        assert await put_aside(world, TaskId("nowhere", 3)) == [("no job nowhere",)]

    play(scene)


def test_a_message_for_an_index_the_job_does_not_have_is_quarantined(play: Play) -> None:
    async def scene(world: World) -> None:
        await world.submit(a_job())
        assert await put_aside(world, TaskId("job1", 3)) == [("job job1 has no index 3",)]
        assert (await world.record()).status is Status.SUCCEEDED

    play(scene)


def test_a_task_whose_manifest_is_damaged_ends_start_error_with_the_manifests_name(
    play: Play, tmp_path: Path
) -> None:
    name = "a" * 64
    (tmp_path / name).write_text("no manifest at all")

    async def scene(world: World) -> None:
        world.manifests = FileManifests(tmp_path)  # type: ignore[assignment]
        await world.submit(a_job(array=Array((range(1),), total=1, manifest=name)))
        started(world.agent())
        await world.until_over(limit=10)
        outcome = (await world.task()).outcome
        assert outcome is not None
        assert outcome.kind is Kind.START_ERROR
        assert name in outcome.reason

    play(scene)


def test_a_manifest_that_cannot_be_read_at_the_moment_costs_its_task_no_retry(
    play: Play, tmp_path: Path
) -> None:
    manifests = FileManifests(tmp_path)
    name = asyncio.run(manifests.put(["first"]))
    (tmp_path / name).rename(tmp_path / "kept")
    (tmp_path / name).mkdir()  # whatever is asked of it is an error of the system

    async def scene(world: World) -> None:
        world.manifests = manifests  # type: ignore[assignment]
        await world.submit(a_job(array=Array((range(1),), total=1, manifest=name)))
        started(world.agent())
        while not await world.records.attempts(TaskId("job1", 0)):
            await asyncio.sleep(0.1)
        (tmp_path / name).rmdir()
        (tmp_path / "kept").rename(tmp_path / name)
        assert (await world.until_over()).counts.succeeded == 1
        assert (await world.records.attempts(TaskId("job1", 0)))[0].outcome.charge is Charge.INFRA

    play(scene)
