"""The engine under the agent: it restarts, hangs, is away, has no image or no disk.

| case | fault | scenarios |
|---|---|---|
| 21 | engine restarted | `…_a_restarting_engine_…`, `…_an_engine_…`, `test_an_end_that_came_…` |
| 22 | a start that fails half-way | `test_a_start_in_the_middle_of_which_…` |
| 23 | engine hangs | `…_whose_engine_hangs_…`, `…_its_engine_hangs_…`, `…_whose_engine_never_answers_again_…` |
| 27 | no image, no registry | `test_an_image_that_is_missing_…`, `test_a_registry_that_…` |
| 28 | disk or inodes full | `…_a_full_disk_…`, `test_a_machine_whose_disk_stays_full_…` |
| 31 | what will not go away | `test_the_place_of_a_container_…` |

With a real engine: a create that fails though the container exists (22): `tests/docker/test_launch.py`; restarts
(21, 23): `tests/docker/test_restart.py`; the number of tries at a registry and tokens that are too old (27):
`tests/docker/test_images.py`, `tests/docker/test_credentials.py`; what is pruned and what is not (28):
`tests/docker/test_reclaiming.py`; children, paused containers (31): `tests/docker/test_limits.py`.
"""

from __future__ import annotations

import asyncio
from math import inf

import pytest

from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.model import Status
from runner.ports import ContainerSpec
from tests.simulation.faults.machines import charged, hang, kept, report_of, trouble
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    attempts,
    hosts,
    kinds,
    never_two_at_once,
    one_kind,
    one_runs,
    said,
    seen,
    tasks_on,
    three_on_two,
    time,
)

# Until an agent knows that its engine does not answer: from one look to the next, and its patience.
NOTICED = 40.0
SOON = 10.0


# 21: restarts


def test_what_a_restarting_engine_ends_runs_again_at_the_infrastructures_cost() -> None:
    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        ended, spared = tasks_on(full), tasks_on(other)
        full.site.daemon.restart(5.0)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for task in ended:
            assert kinds(world, task) == ["lost", "succeeded"]
            assert charged(world, task) == [(0, 1), (0, 0)]
            assert never_two_at_once(world, task)
        assert [kinds(world, task) for task in spared] == [["succeeded"]]

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_what_an_engine_leaves_alone_as_it_restarts_goes_on() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        spared = tasks_on(full)
        full.site.daemon.restart(20.0, live_restore=True)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert [kinds(world, task) for task in spared] == [["succeeded"]] * 2
        assert [len(seen(world, "container-started", task)) for task in spared] == [1, 1]

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_an_end_that_came_while_the_engine_was_away_is_what_it_was() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        machine.site.daemon.restart(60.0, live_restore=True)
        back = time() + 60.0
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        (ended,) = seen(world, "container-ended", f"{job}/0")
        (recorded,) = seen(world, "recorded", f"{job}/0")
        assert ended.at < back <= recorded.at < back + SOON
        assert recorded.more["kind"] == "succeeded"

    proven(scene, settings=one_kind(), behave=steady(30.0))


def test_what_an_engine_that_stays_away_left_running_never_runs_twice_at_once() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        left = tasks_on(full)
        full.site.daemon.restart(200.0, live_restore=True)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert all(never_two_at_once(world, task) for task in left)

    proven(scene, settings=one_kind(), behave=steady(400.0))


# 22: a start that fails half-way


def test_a_start_in_the_middle_of_which_the_engine_hangs_leaves_one_container_in_the_end() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(retries=0)
        await world.until(lambda: any(each.site.daemon.containers for each in world.alive), look=0.1)
        machine = next(each for each in world.alive if each.site.daemon.containers)
        assert not machine.site.daemon.running
        await hang(world, machine, 100.0)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        *failed, last = kinds(world, f"{job}/0")
        assert (set(failed), last) == ({"start_error"}, "succeeded")
        assert all(user == 0 for user, _ in charged(world, f"{job}/0"))
        assert len(seen(world, "container-started", f"{job}/0")) == 1
        assert not any(each.site.daemon.containers for each in world.alive)

    proven(scene, settings=one_kind(), behave=steady(50.0))


# 23: an engine that hangs


def test_a_machine_whose_engine_hangs_says_so_and_takes_no_more_until_it_answers() -> None:
    async def scene(world: World) -> None:
        job, _, other = await three_on_two(world)
        (task,) = tasks_on(other)
        hung, thawed = time(), time() + 300.0
        hanging = asyncio.create_task(hang(world, other, 300.0))
        await asyncio.sleep(NOTICED)
        more = await world.submit(array=4)
        await asyncio.sleep(60.0)
        report = await report_of(world, other)
        assert (report.state, report.engines) == ("unhealthy", ())
        assert "Docker does not answer" in report.note
        await hanging
        assert kept(world, other, hung + NOTICED, thawed) == []
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        assert kinds(world, task) == ["succeeded"]
        assert seen(world, "recorded", task)[0].at > thawed
        assert said(world, "fitness changed", unfit="")

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_what_a_machine_took_before_it_knew_that_its_engine_hangs_runs_elsewhere_at_nobodys_cost() -> None:
    async def scene(world: World) -> None:
        _, _, other = await three_on_two(world)
        hanging = asyncio.create_task(hang(world, other, 300.0))
        more = await world.submit(retries=0)
        await world.until_ended(more)
        *there, last = zip(hosts(world, f"{more}/0"), kinds(world, f"{more}/0"), strict=True)
        assert set(there) == {(other.id, "start_error")}
        assert last[0] != other.id
        assert last[1] == "succeeded"
        assert all(user == 0 for user, _ in charged(world, f"{more}/0"))
        await hanging

    proven(scene, settings=one_kind(), behave=steady(200.0))


@pytest.mark.parametrize("first", [100.0, 10.0**6], ids=["that ended", "that runs on"])
def test_a_task_whose_engine_never_answers_again_runs_elsewhere_in_the_end(first: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        trouble(world, machine, inf)
        machine.site.daemon.hung = True
        assert (await world.until_ended(job, limit=1800.0)).status is Status.SUCCEEDED
        assert kinds(world, f"{job}/0") == ["lost", "succeeded"]
        assert charged(world, f"{job}/0") == [(0, 1), (0, 0)]
        assert machine not in world.alive

    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(first if spec.labels["attempt"].endswith("#1") else 100.0)

    proven(scene, settings=one_kind(), behave=behave)


# 27: images


def test_an_image_that_is_missing_is_an_image_error_and_not_tried_again() -> None:
    async def scene(world: World) -> None:
        world.registry.missing.add("typo")
        world.start_controller()
        job = await world.submit(image="typo", retries=3)
        assert (await world.until_ended(job)).status is Status.FAILED
        (attempt,) = await attempts(world, job)
        assert attempt.outcome.kind == "image_error"
        assert "manifest unknown" in attempt.outcome.reason
        assert not seen(world, "container-started", f"{job}/0")

    proven(scene, settings=one_kind())


def test_a_registry_that_does_not_answer_for_a_while_costs_the_user_nothing() -> None:
    async def scene(world: World) -> None:
        world.registry.down = True
        world.start_controller()
        job = await world.submit(array=2, retries=0)
        await world.until(lambda: len(kinds(world, f"{job}/0")) == 3)
        world.registry.down = False
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for index in range(2):
            *failed, last = kinds(world, f"{job}/{index}")
            assert (set(failed), last) == ({"start_error"}, "succeeded")
            assert all(user == 0 for user, _ in charged(world, f"{job}/{index}"))

    proven(scene, settings=one_kind())


# 28: the disk

LOW = "disk low: 100 MiB free, 512 MiB are needed"


def test_a_full_disk_of_which_something_can_be_pruned_keeps_nobody_from_working() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        full.site.hardware.trouble, full.site.hardware.prunable = LOW, True
        await asyncio.sleep(SOON)
        assert full.site.hardware.trouble == ""
        assert (await report_of(world, full)).state == "running"
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert [kinds(world, task) for task in running] == [["succeeded"]] * 2

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_a_machine_whose_disk_stays_full_ends_what_it_has_takes_no_more_and_goes() -> None:
    async def scene(world: World) -> None:
        job, _, other = await three_on_two(world)
        (task,) = tasks_on(other)
        other.site.hardware.trouble = LOW
        since = time() + SOON
        await asyncio.sleep(SOON)
        more = await world.submit(array=6)
        report = await report_of(world, other)
        assert (report.state, report.note) == ("unhealthy", LOW)
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        assert kept(world, other, since) == []
        assert kinds(world, task) == ["succeeded"]
        assert not other.on

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_a_failure_on_a_full_disk_is_the_machines_and_no_other_task_pays_for_it() -> None:
    full_disks: set[str] = set()

    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(60.0, exit_code=1 if spec.host in full_disks else 0)

    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(array=3, retries=0)
        await world.until(lambda: any(machine.life for machine in world.alive))
        machine = next(machine for machine in world.alive if machine.life)
        full_disks.add(machine.id)
        await world.until(lambda: len(machine.site.daemon.running) == 2)
        hit = tasks_on(machine)
        machine.site.hardware.trouble = LOW
        await world.until(lambda: all(kinds(world, task) for task in hit))
        machine.site.hardware.trouble = ""
        full_disks.clear()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        for index in range(3):
            task = f"{job}/{index}"
            assert kinds(world, task) == (["disk_full", "succeeded"] if task in hit else ["succeeded"])
            assert all(user == 0 for user, _ in charged(world, task))

    proven(scene, settings=one_kind(maximum=2), behave=behave)


# 31: what will not go away


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(10**6, on_term=None), id="that ignores its stop"),
        pytest.param(Behaviour(30.0, lingers=8.0), id="whose children hold its output"),
    ],
)
def test_the_place_of_a_container_is_free_for_the_next_one(behaviour: Behaviour) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world, array=3, vcpus=2, timeout="60s", grace="5s", retries=0)
        await world.until_ended(job)
        began = [seen(world, "container-started", f"{job}/{index}")[0] for index in range(3)]
        assert {event.by for event in began} == {machine.id}
        ends = sorted(seen(world, "container-ended", f"{job}/{index}")[0].at for index in range(3))
        starts = sorted(event.at for event in began)
        assert all(0 < later - end < 15.0 for end, later in zip(ends, starts[1:], strict=False))
        assert not machine.site.daemon.containers

    proven(scene, settings=one_kind(maximum=1), behave=lambda _: behaviour)
