"""Machines that EC2 takes back, and what their metadata says of it, or fails to.

| case | fault | scenarios |
|---|---|---|
| 32 | spot notice | `…_notice_…`, `…_reclaimed_…`, `test_a_machine_that_is_taken_without_a_word_…` |
| 33 | metadata down, garbled | `test_what_is_no_notice_…`, `…_recommendation_…`, `…_back_in_time_…` |

Readings of every form of a notice: `tests/ec2/test_notices.py`; over HTTP: `tests/ec2/test_metadata.py`.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from controller.simulation.machine import Machine
from controller.simulation.play import a_fleet
from controller.simulation.workload import steady
from controller.simulation.world import SPOT_NOTICE, World
from runner.adapters.ec2 import notices
from runner.model import Status
from tests.simulation.faults.machines import charged, kept, told
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    hosts,
    kinds,
    never_two_at_once,
    one_kind,
    one_runs,
    seen,
    tasks_on,
    three_on_two,
    time,
)

GRACE = 10.0
SEEN = 5.0  # seconds within which a notice must be heeded
FREE = 20.0  # seconds before the end by which a message must be free


def interrupted_elsewhere_in_time(world: World, machine: Machine, task: str, ends: float) -> None:
    """Its first attempt, on the machine, was interrupted, recorded and given back in time; the next ran elsewhere."""
    assert kinds(world, task) == ["interrupted", "succeeded"]
    assert charged(world, task) == [(0, 1), (0, 0)]
    first, second = hosts(world, task)
    assert first == machine.id != second
    shown = [event for event in seen(world, "shown", task) if event.by.startswith(f"{machine.id}/")]
    assert seen(world, "recorded", task)[0].at <= shown[-1].at <= ends - FREE
    assert never_two_at_once(world, task)


# 32: notices


@pytest.mark.parametrize("on_term", [143, 0, None], ids=["obeys", "exits 0", "ignores SIGTERM"])
def test_at_a_spot_notice_what_runs_is_free_in_time_and_runs_elsewhere(on_term: int | None) -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        world.reclaim(full)
        noticed = time()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in running:
            interrupted_elsewhere_in_time(world, full, task, noticed + SPOT_NOTICE)
            ended = seen(world, "container-ended", task)[0]
            assert ended.more["how"] == ("kill" if on_term is None else "term")

    proven(scene, settings=one_kind(), behave=steady(300.0, on_term=on_term))


def test_a_machine_with_a_spot_notice_takes_no_more_from_five_seconds_on() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        world.reclaim(machine)
        noticed = time()
        await asyncio.sleep(SEEN)
        more = await world.submit(array=6)
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        assert kept(world, machine, noticed + SEEN) == []

    proven(scene, settings=one_kind(), behave=steady(200.0))


def test_what_ends_before_a_spot_notice_leaves_it_no_time_is_not_interrupted() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        world.reclaim(full)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert [kinds(world, task) for task in running] == [["succeeded"]] * 2
        assert [len(hosts(world, task)) for task in running] == [1, 1]

    proven(scene, settings=one_kind(), behave=steady(80.0))


@pytest.mark.parametrize("notice", [25.0, 5.0, 1.0])
def test_a_notice_that_leaves_hardly_any_time_costs_the_user_nothing(notice: float) -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        world.reclaim(full, notice)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in running:
            first, *rest = kinds(world, task)
            assert first in ("interrupted", "lost")
            assert rest == ["succeeded"]
            assert charged(world, task) == [(0, 1), (0, 0)]
            assert hosts(world, task)[1] != full.id

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_a_whole_pool_that_is_reclaimed_at_once_loses_no_task() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(array=8)
        await world.until(lambda: sum(len(each.site.daemon.running) for each in world.alive) == 8)
        pool = world.alive
        for machine in pool:
            world.reclaim(machine)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for index in range(8):
            assert kinds(world, f"{job}/{index}") == ["interrupted", "succeeded"]
            assert all(user == 0 for user, _ in charged(world, f"{job}/{index}"))
        assert {hosts(world, f"{job}/{index}")[1] for index in range(8)}.isdisjoint(each.id for each in pool)

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_a_machine_that_is_taken_without_a_word_costs_the_user_nothing() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        world.lose(full)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in running:
            assert kinds(world, task) == ["lost", "succeeded"]
            assert charged(world, task) == [(0, 1), (0, 0)]

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_what_was_reclaimed_twice_runs_where_nothing_is_reclaimed() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        task = f"{job}/0"
        for losses in (1, 2):
            world.reclaim(machine)
            await world.until(lambda at=losses: len(seen(world, "container-started", task)) > at)  # type: ignore[misc]
            machine = next(each for each in world.alive if tasks_on(each))
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        environments = [world.machines[host].site.environment for host in hosts(world, task)]
        assert environments == ["spot", "spot", "steady"]

    proven(scene, settings=a_fleet(), behave=steady(300.0))


# 33: metadata


def say(machine: Machine, path: str, text: str | None) -> None:
    if text is None:
        machine.site.metadata.pages.pop(path, None)
    else:
        machine.site.metadata.pages[path] = text


NO_NOTICE = {
    "down": None,
    "404 everywhere": (notices.LIFECYCLE, None),
    "no JSON": (notices.SPOT_ACTION, "<html>502</html>"),
    "another JSON": (notices.SPOT_ACTION, "[1, 2]"),
    "unknown action": (notices.SPOT_ACTION, json.dumps({"action": "dance", "time": "2023-11-14T22:30:00Z"})),
    "no time": (notices.SPOT_ACTION, json.dumps({"action": "terminate", "time": "soon"})),
    "deep": (notices.REBALANCE, "[" * 100_000),
    "unknown state": (notices.LIFECYCLE, "Terminating:Maybe"),
}
SILENT = ("404 everywhere", "unknown state")


@pytest.mark.parametrize("which", NO_NOTICE)
def test_what_is_no_notice_is_told_and_drains_nobody(which: str) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world, array=6)
        page = NO_NOTICE[which]
        machine.site.metadata.down = page is None
        if page is not None:
            say(machine, *page)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        complaints = told(world, machine, "cannot read the instance metadata")
        assert len(complaints) == (0 if which in SILENT else 3 if page is None else 1)
        assert not told(world, machine, "the host is going away")
        assert sum(hosts(world, f"{job}/{index}") == [machine.id] for index in range(6)) == 6
        assert all(kinds(world, f"{job}/{index}") == ["succeeded"] for index in range(6))

    proven(scene, settings=one_kind(maximum=1), behave=steady(60.0))


def test_a_notice_is_heeded_once_the_metadata_are_back_in_time() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        full.site.metadata.down = True
        world.reclaim(full)
        ends = time() + SPOT_NOTICE
        await asyncio.sleep(60.0)
        full.site.metadata.down = False
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in running:
            interrupted_elsewhere_in_time(world, full, task, ends)

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_after_a_recommendation_to_rebalance_what_runs_ends_and_nothing_new_begins() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        machine.site.metadata.recommend_rebalance()
        recommended = time()
        await asyncio.sleep(SEEN)
        more = await world.submit(array=4)
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        assert (kinds(world, f"{job}/0"), hosts(world, f"{job}/0")) == (["succeeded"], [machine.id])
        assert kept(world, machine, recommended + SEEN) == []
        assert not machine.on

    proven(scene, settings=one_kind(), behave=steady(600.0))
