"""Machines that do not come, come and do no work, or fall silent.

| case | fault | scenarios |
|---|---|---|
| 36 | no capacity, a quota | `…_capacity_…` |
| 37 | an agent never comes, or falls silent | `…_never_registers_…`, `…_silent_…`, `…_lost_…`, `…_comes_up_…` |
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.history import Event
from controller.simulation.machine import Machine
from controller.simulation.play import a_fleet
from controller.simulation.services.autoscaling_group import NO_CAPACITY
from controller.simulation.services.service import throttled
from controller.simulation.workload import steady
from controller.simulation.world import World
from runner.model import Status
from runner.settings import FLEET_SUPERVISOR
from tests.simulation.faults.machines import (
    group_of,
    launched,
    reasons,
)
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    hosts,
    kinds,
    one_kind,
    one_runs,
    said,
    seen,
    tap,
    time,
)

STEP = FLEET_SUPERVISOR.interval
BOOT = 90.0


# 36: no capacity

QUOTA = (
    "You have requested more vCPU capacity than your current vCPU limit of 4 allows for the instance bucket that the "
    "specified instance type belongs to. Launching EC2 instance failed."
)


@pytest.mark.parametrize("why", [NO_CAPACITY, QUOTA], ids=["capacity", "quota"])
def test_where_there_is_no_capacity_the_next_environment_is_used_within_a_few_steps(why: str) -> None:
    async def scene(world: World) -> None:
        group_of(world).starved = why
        world.start_controller()
        job = await world.submit(array=4)
        await world.until(lambda: bool(launched(world, "steady")), look=0.1)
        (asked, *_) = [event for event in world.history.of("desired") if event.subject == "sim-spot"]
        assert launched(world, "steady")[0].at - asked.at < 2 * STEP
        assert group_of(world).desired == 0
        await asyncio.sleep(2 * STEP)
        assert why.split(".")[0] in await reasons(world)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        group_of(world).starved = ""

    proven(scene, settings=a_fleet(), behave=steady(60.0))


def test_an_environment_without_capacity_is_left_alone_for_a_while_and_then_used_again() -> None:
    async def scene(world: World) -> None:
        group_of(world).starved = NO_CAPACITY
        world.start_controller()
        first = await world.submit(array=8)
        await world.until(lambda: len(launched(world, "steady")) == 4)
        failed = time()
        group_of(world).starved = ""
        more = await world.submit(array=4)
        await world.until(lambda: bool(launched(world)), limit=1000.0)
        assert 280.0 < time() - failed < 330.0
        for job in (first, more):
            assert (await world.until_ended(job)).status is Status.SUCCEEDED

    proven(scene, settings=a_fleet(), behave=steady(600.0))


def test_of_a_pool_with_less_capacity_than_is_wanted_what_there_is_is_used_and_nothing_is_inflated() -> None:
    async def scene(world: World) -> None:
        group_of(world).pool = 1
        world.start_controller()
        job = await world.submit(array=6)
        await world.until(lambda: len(launched(world, "steady")) >= 2)
        await asyncio.sleep(2 * STEP)
        assert (len(launched(world)), group_of(world).desired) == (1, 1)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert len(launched(world)) == 1

    proven(scene, settings=a_fleet(), behave=steady(120.0))


def test_where_there_is_no_capacity_anywhere_work_waits_and_is_done_once_there_is() -> None:
    async def scene(world: World) -> None:
        for group in world.autoscaling.groups.values():
            group.starved = NO_CAPACITY
        world.start_controller()
        job = await world.submit(array=4)
        await asyncio.sleep(900.0)
        assert sum(group.desired for group in world.autoscaling.groups.values()) <= 2
        assert all(event.more["now"] <= 2 for event in world.history.of("desired"))
        assert "InsufficientInstanceCapacity" in await reasons(world)
        for group in world.autoscaling.groups.values():
            group.starved = ""
        assert (await world.until_ended(job, limit=2400.0)).status is Status.SUCCEEDED

    proven(scene, settings=a_fleet(), behave=steady(60.0))


# 37: machines that do no work


async def break_new_machines(world: World) -> None:
    """From now on no agent starts on a machine that boots, as from a broken image."""
    while True:
        for machine in world.machines.values():
            machine.dud = machine.dud or machine.life is None
        await asyncio.sleep(1.0)


def replaced(world: World, machine: Machine) -> list[Event]:
    return said(world, "machine is replaced", instance=machine.id)


def test_a_machine_whose_agent_never_registers_is_replaced_after_its_boot_and_two_looks() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit()
        await world.until(lambda: bool(world.alive))
        (machine,) = world.alive
        machine.dud = True
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        (event,) = replaced(world, machine)
        (in_service,) = seen(world, "in-service", machine.id)
        assert 660.0 <= event.at - in_service.at <= 700.0
        assert "never reported" in event.more["reason"]
        assert len(launched(world)) == 2

    proven(scene, settings=one_kind(maximum=1), behave=steady(20.0))


def test_a_machine_whose_agent_falls_silent_is_replaced_and_its_task_runs_elsewhere() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        machine.kill_agent(restart=None)
        silent = time()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        (event,) = replaced(world, machine)
        assert 360.0 <= event.at - silent <= 400.0
        assert kinds(world, f"{job}/0") == ["lost", "succeeded"]

    proven(scene, settings=one_kind(maximum=1), behave=steady(200.0))


def test_what_runs_on_a_machine_whose_reports_alone_are_lost_runs_to_its_end() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)

        def lose_reports(operation: str, parameters: dict[str, Any]) -> None:
            item = parameters.get("Item", {})
            if operation == "put_item" and item["pk"]["S"].startswith("R#"):
                raise throttled()

        listening = tap(world, "dynamodb")
        listening.instead = lose_reports
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert (kinds(world, f"{job}/0"), hosts(world, f"{job}/0")) == (["succeeded"], [machine.id])
        listening.instead = lambda _operation, _parameters: None

    proven(scene, settings=one_kind(maximum=1), behave=steady(900.0))


def test_a_task_whose_only_machine_went_without_a_record_of_it_runs_again() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        async with world.fault(Fault(Effect.THROTTLED, "dynamodb", "put_item", process=f"{machine.id}/*")):
            await world.until(lambda: not machine.on)
        assert group_of(world).desired == 0
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert kinds(world, f"{job}/0") == ["lost", "succeeded"]

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_where_no_machine_comes_up_the_next_is_given_up_ever_later_and_people_are_told() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit()
        breaking = asyncio.create_task(break_new_machines(world))
        await world.until(lambda: len(said(world, "machine is replaced")) == 5, limit=20000.0, look=30.0)
        at = [event.at for event in said(world, "machine is replaced")]
        waits = [later - earlier for earlier, later in pairwise(at)]
        assert all(later > earlier - 2 * BOOT for earlier, later in pairwise(waits))
        assert waits[-1] >= 1800.0
        assert "machines do not come up" in await reasons(world)
        breaking.cancel()
        for machine in world.alive:
            machine.dud = False
            machine.start_agent()
        assert (await world.until_ended(job)).status is Status.SUCCEEDED

    proven(scene, settings=one_kind(maximum=1), behave=steady(20.0))
