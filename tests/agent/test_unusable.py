"""Messages that point to nothing, and arrays whose items cannot be read. Real agents in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runner.adapters.manifests import FileManifests
from runner.array import Array
from runner.model import Kind, Status, TaskId
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
