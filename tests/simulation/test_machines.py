"""Machines, agents and controllers that are killed, frozen, reclaimed: the real ones, over a simulated installation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from controller.simulation.machine import Machine
from controller.simulation.play import play
from controller.simulation.workload import steady
from controller.simulation.world import World
from runner.model import Status

LONG = steady(100.0)


async def busy(world: World, tasks: int = 2) -> tuple[str, Machine]:
    """A job whose tasks run, and a machine where they do."""
    world.start_controller()
    job = await world.submit(array=tasks)
    await world.until(lambda: any(machine.site.daemon.running for machine in world.alive))
    return job, next(machine for machine in world.alive if machine.site.daemon.running)


def played(scene: Callable[[World], Awaitable[None]]) -> None:
    play(scene, behave=LONG)


def starts(world: World, task: str) -> int:
    return len(list(world.history.of("container-started", subject=task)))


def test_a_restarted_agent_adopts_what_its_predecessor_started() -> None:
    async def scene(world: World) -> None:
        job, machine = await busy(world, 1)
        machine.kill_agent()
        record = await world.until_ended(job)
        assert record.status is Status.SUCCEEDED
        assert starts(world, f"{job}/0") == 1

    played(scene)


def test_what_a_dead_agent_left_is_swept_when_no_other_comes() -> None:
    async def scene(world: World) -> None:
        _, machine = await busy(world, 1)
        machine.kill_agent(restart=None)
        await asyncio.sleep(world.settings.agent.lease + 5)
        assert not machine.site.daemon.running

    played(scene)


def test_a_frozen_agents_containers_are_swept_and_its_task_runs_elsewhere() -> None:
    async def scene(world: World) -> None:
        job, machine = await busy(world, 1)
        machine.freeze_agent()
        await asyncio.sleep(world.settings.agent.lease + 5)
        assert not machine.site.daemon.running
        record = await world.until_ended(job)
        assert record.status is Status.SUCCEEDED
        owners = [event.more["owner"] for event in world.history.of("begun", subject=f"{job}/0")]
        assert len(owners) == 2

    played(scene)


def test_the_service_manager_kills_an_agent_that_stays_frozen() -> None:
    async def scene(world: World) -> None:
        _, machine = await busy(world, 1)
        machine.freeze_agent()
        await asyncio.sleep(200)
        assert [event.what for event in world.history.of("agent-killed", subject=machine.id)]
        assert machine.life is not None
        assert machine.life.process.name.endswith("agent2")

    played(scene)


def test_a_reclaimed_machine_lets_what_ends_in_time_end_and_takes_nothing_new() -> None:
    async def scene(world: World) -> None:
        job, machine = await busy(world, 8)
        world.reclaim(machine)
        reclaimed = asyncio.get_running_loop().time()
        await world.until_ended(job)
        after = [
            event
            for event in world.history.of("received")
            if event.by.startswith(machine.id) and event.at > reclaimed + 5
        ]
        assert not after

    played(scene)


def test_a_lost_machine_is_replaced_and_its_task_is_not_lost() -> None:
    async def scene(world: World) -> None:
        job, machine = await busy(world, 1)
        world.lose(machine)
        record = await world.until_ended(job)
        assert record.status is Status.SUCCEEDED
        assert starts(world, f"{job}/0") == 2

    played(scene)


def test_an_engine_that_restarts_costs_an_attempt_that_the_user_does_not_pay_for() -> None:
    async def scene(world: World) -> None:
        job, machine = await busy(world, 1)
        machine.site.daemon.restart(5.0)
        record = await world.until_ended(job)
        kinds = [event.more["kind"] for event in world.history.of("recorded", subject=f"{job}/0")]
        assert record.status is Status.SUCCEEDED
        assert kinds == ["lost", "succeeded"]

    played(scene)


def test_another_controller_takes_over_from_one_that_was_killed() -> None:
    async def scene(world: World) -> None:
        world.start_controller("first")
        await asyncio.sleep(10)
        world.start_controller("second")
        world.controllers["first"].kill(restart=None)
        job = await world.submit(array=1)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED

    played(scene)
