"""What the campaign found, each as a scene of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from controller.listing import list_tasks
from controller.simulation.engine import SimulatedEngine
from controller.simulation.machine import Machine
from controller.simulation.mischief import Act
from controller.simulation.play import a_fleet, play
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.codec import encode_pointer
from runner.instances import KNOWN
from runner.model import Status, TaskId
from runner.ports import ContainerSpec
from runner.settings import Environment
from tests.simulation.scenes import Scene, away, two_machines


async def running(world: World) -> Machine:
    """A machine where a container runs."""
    await world.until(lambda: any(machine.site.daemon.running for machine in world.alive), look=0.05)
    return next(machine for machine in world.alive if machine.site.daemon.running)


async def until_something_is(world: World, what: str) -> None:
    await world.until(lambda: any(world.history.of(what)), look=0.05)


def test_a_task_whose_owner_left_without_a_record_is_taken_over_though_no_machine_is_left() -> None:
    assert not Scene((away("dynamodb", 50.0, 100.0),), tasks=3).violations()


def test_a_frozen_agents_containers_are_gone_by_the_end_of_their_lease_and_grace() -> None:
    assert not Scene((Act(59.0, "freeze-agent", 100.0),), work=steady(200.0), keys={"grace": 1}).violations()


def test_a_killed_agents_containers_do_not_outlive_their_lease_while_the_next_reaches_no_ledger() -> None:
    plan = away("dynamodb", 70.0, 150.0), Act(75.0, "kill-agent")
    assert not Scene(plan, work=steady(300.0)).violations()


@pytest.mark.parametrize("seed", range(1, 4))
def test_clocks_five_minutes_apart_let_nobody_take_a_task_from_an_owner_that_lives(seed: int) -> None:
    """Though its message comes to both of them at once."""

    async def scene(world: World) -> None:
        job = await world.submit(array=1)
        world.start_controller()
        owner = await running(world)
        other = next(machine for machine in world.alive if machine is not owner)
        other.step_clock(300.0)
        world.sqs.behaviour.duplicates = 1.0
        (channel,) = world.routes.channels
        for _ in range(8):
            world.sqs.put(world.fleet.queue_name(channel), encode_pointer(TaskId(job, 0)))
            await asyncio.sleep(5)
        assert [event.by for event in world.history.of("begun")] == [f"{owner.id}/agent1"]

    three = Environment("spot", (KNOWN["m6i.large"],), minimum=3, maximum=3)
    play(scene, seed=seed, settings=a_fleet(three), behave=steady(100.0))


@pytest.mark.parametrize("seconds", [300.0, -300.0], ids=["ahead", "behind"])
@pytest.mark.parametrize("seed", range(1, 4))
def test_nor_from_one_that_was_frozen_for_half_a_minute(seed: int, seconds: float) -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=1)
        world.start_controller()
        await world.until(lambda: sum(each.life is not None for each in world.alive) == 3)
        owner = await running(world)
        other = next(machine for machine in world.alive if machine is not owner)
        other.step_clock(seconds)
        owner.freeze_agent()
        world.sqs.behaviour.duplicates = 1.0
        (channel,) = world.routes.channels
        for _ in range(4):
            world.sqs.put(world.fleet.queue_name(channel), encode_pointer(TaskId(job, 0)))
            await asyncio.sleep(1)
        await asyncio.sleep(22)
        owner.thaw_agent()
        await asyncio.sleep(10)
        assert [event.by for event in world.history.of("begun")] == [f"{owner.id}/agent1"]

    three = Environment("spot", (KNOWN["m6i.large"],), minimum=3, maximum=3)
    play(scene, seed=seed, settings=a_fleet(three), behave=steady(200.0))


def test_an_agent_frozen_while_an_image_comes_starts_nothing_after_its_lease() -> None:
    for tenths in range(0, 80, 4):
        play(partial(freezes, seconds=tenths / 10), settings=two_machines())


def test_an_agent_frozen_between_the_making_of_a_container_and_its_start_does_not_start_it_after_its_lease() -> (
    None
):
    async def scene(world: World) -> None:
        await world.submit(array=1)
        world.start_controller()
        await world.until(lambda: any(machine.site.daemon.containers for machine in world.alive), look=0.01)
        (machine,) = (each for each in world.alive if each.site.daemon.containers)
        assert not machine.site.daemon.running
        await thawed_after_its_lease(world, machine)

    play(scene, settings=two_machines())


async def freezes(world: World, seconds: float) -> None:
    """So long after the first attempt was begun; unless the engine is asked to start it already."""
    await world.submit(array=1)
    world.start_controller()
    await until_something_is(world, "begun")
    await asyncio.sleep(seconds)
    (machine,) = (each for each in world.alive if each.life is not None)
    if machine.site.daemon.containers:
        return
    await thawed_after_its_lease(world, machine)


async def thawed_after_its_lease(world: World, machine: Machine) -> None:
    machine.freeze_agent()
    await asyncio.sleep(120)
    machine.thaw_agent()
    await asyncio.sleep(5)
    assert not [event for event in world.history.of("container-started") if event.more["attempt"] == 1]


def test_a_task_that_its_agent_interrupted_is_not_the_users_though_the_agent_dies_before_it_records() -> None:
    """It ignores SIGTERM, so it ends by SIGKILL."""

    async def scene(world: World) -> None:
        job = await world.submit(array=1)
        world.start_controller()
        machine = await running(world)
        machine.drain_agent()
        await world.until(lambda: not machine.site.daemon.running, look=0.001)
        machine.kill_agent()
        await until_something_is(world, "recorded")
        (event,) = world.history.of("recorded", subject=f"{job}/0")
        assert event.more["user"] == 0

    play(scene, settings=two_machines(), behave=steady(500.0, on_term=None))


def test_a_task_that_fails_a_moment_before_its_job_is_retried_runs_again() -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=3)
        world.start_controller()
        await until_something_is(world, "recorded")
        await asyncio.sleep(0.3)
        await world.retry(job)
        await world.until_ended(job, limit=1800)
        assert len(list(world.history.of("begun", subject=f"{job}/0"))) == 2

    play(scene, settings=two_machines(), behave=the_first_fails)


def the_first_fails(spec: ContainerSpec) -> Behaviour:
    return Behaviour(seconds=5.0 + 20.0 * (spec.index or 0), exit_code=1 if spec.index == 0 else 0)


def test_the_counts_of_a_cancelled_job_are_right_though_an_agent_died_before_it_wrote_them() -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=8)
        world.start_controller()
        await until_something_is(world, "recorded")
        for machine in world.alive:
            machine.kill_agent()
        await asyncio.sleep(12)
        await world.cancel(job)
        await world.until_ended(job)
        await world.until_empty()
        record = await world.job(job)
        statuses = Counter([task.status async for task in list_tasks(world.records, record)])
        assert record.counts.succeeded == statuses[Status.SUCCEEDED]

    play(scene, settings=two_machines(), behave=lambda spec: Behaviour(10.0 + 5.0 * (spec.index or 0)))


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_refused_message_that_comes_twice_and_is_begun_after_retry_is_not_deleted_meanwhile(
    seed: int,
) -> None:
    """Nobody leads, so nobody would miss it. Should its agent die, another one has the message to go by."""

    async def scene(world: World) -> None:
        world.sqs.behaviour.duplicates = world.sqs.behaviour.stale = 1.0
        job = await world.submit(array=1)
        await world.cancel(job)
        await until_something_is(world, "received")
        await asyncio.sleep(1)
        await world.retry(job)
        await until_something_is(world, "begun")
        world.sqs.behaviour.duplicates = 0.0
        await asyncio.sleep(10)
        owner = await running(world)
        owner.kill_agent(restart=None)
        await world.until_ended(job, limit=600)
        assert len(list(world.history.of("begun"))) == 2

    two = Environment("spot", (KNOWN["m6i.large"],), minimum=2, maximum=2)
    play(scene, seed=seed, settings=a_fleet(two), behave=steady(30.0))


@pytest.mark.parametrize("tenth", range(10))
def test_a_sweep_that_an_engine_kept_waiting_leaves_what_the_next_agent_began_meanwhile(tenth: int) -> None:
    """One agent dies, its watchdog finds the engine hung, and the next agent is there before that has an answer."""

    async def scene(world: World) -> None:
        await world.submit(array=1)
        world.start_controller()
        machine = await running(world)
        machine.kill_agent(restart=None)
        machine.site.daemon.hung = True
        await asyncio.sleep(45)
        later = await world.submit(array=1)
        await asyncio.sleep(tenth / 10)
        machine.start_agent()
        await asyncio.sleep(3)
        machine.site.daemon.hung = False
        await world.until_ended(later)
        assert [event.more["kind"] for event in world.history.of("recorded", subject=f"{later}/0")] == [
            "succeeded"
        ]

    one = Environment("spot", (KNOWN["m6i.large"],), maximum=1)
    play(scene, settings=a_fleet(one), behave=steady(60.0))


def test_a_task_whose_container_a_cleaner_removes_is_lost_and_not_the_users() -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=1)
        world.start_controller()
        machine = await running(world)
        await SimulatedEngine(machine.site.daemon).sweep(machine.id)
        await until_something_is(world, "recorded")
        (event,) = world.history.of("recorded", subject=f"{job}/0")
        assert (event.more["kind"], event.more["user"]) == ("lost", 0)

    play(scene, settings=two_machines())


def test_a_clock_that_is_set_back_while_a_task_takes_its_grace_does_not_make_its_end_its_own() -> None:
    async def scene(world: World) -> None:
        job = await world.submit(array=1, timeout="20s", grace="30s")
        world.start_controller()
        machine = await running(world)
        await asyncio.sleep(35)
        machine.step_clock(-100.0)
        await until_something_is(world, "recorded")
        (event,) = world.history.of("recorded", subject=f"{job}/0")
        assert event.more["kind"] == "timed_out"

    play(scene, settings=two_machines(), behave=steady(500.0, on_term=None))
