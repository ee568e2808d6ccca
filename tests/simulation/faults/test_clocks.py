"""Clocks that are wrong by up to five minutes, and clocks that are set while something runs.

| case | fault | scenarios |
|---|---|---|
| 39 | skew of ± 5 minutes, a step | all |

No time limit, lease, notice or grace ends early or late by it; nobody is given up; work goes on under controllers that
do not agree on the time.
"""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.machine import Machine
from controller.simulation.play import a_fleet
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import SPOT_NOTICE, World
from runner.agent.departure import RECORDING, RELEASE_BEFORE
from runner.model import Status
from runner.ports import ContainerSpec
from tests.simulation.faults.machines import ask, charged, told
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    LEASE,
    hosts,
    kinds,
    never_two_at_once,
    one_kind,
    one_runs,
    said,
    seen,
    time,
)

FOREVER = 10**6
GRACE = 10.0
SOON, BOOT = 3.0, 90.0

both_ways = pytest.mark.parametrize("seconds", [300.0, -300.0], ids=["ahead", "behind"])


async def one_runs_where_the_clock_is_wrong(
    world: World, seconds: float, **keys: object
) -> tuple[str, Machine]:
    """From the machine's first moment on, the engine's clock included."""
    world.start_controller()
    job = await world.submit(**keys)  # type: ignore[arg-type]
    await world.until(lambda: bool(world.alive))
    for machine in world.alive:
        machine.step_clock(seconds)
    await world.until(lambda: any(each.site.daemon.running for each in world.alive))
    return job, next(each for each in world.alive if each.site.daemon.running)


def ran_for(world: World, task: str) -> list[float]:
    """Seconds, really."""
    starts, ends = seen(world, "container-started", task), seen(world, "container-ended", task)
    return [end.at - start.at for start, end in zip(starts, ends, strict=True)]


# time limits


@both_ways
def test_a_time_limit_is_as_long_where_the_clock_is_wrong(seconds: float) -> None:
    async def scene(world: World) -> None:
        job, _ = await one_runs_where_the_clock_is_wrong(world, seconds, timeout="60s", retries=0)
        await world.until_ended(job)
        assert kinds(world, f"{job}/0") == ["timed_out"]
        assert ran_for(world, f"{job}/0") == [pytest.approx(60.0, abs=1.0)]

    proven(scene, settings=one_kind(), behave=steady(FOREVER))


@both_ways
@pytest.mark.parametrize("after", [10.0, 55.0])
def test_a_clock_that_is_set_moves_no_time_limit(seconds: float, after: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world, timeout="60s", retries=0)
        await asyncio.sleep(after)
        machine.step_clock(seconds)
        await world.until_ended(job)
        assert kinds(world, f"{job}/0") == ["timed_out"]
        assert ran_for(world, f"{job}/0") == [pytest.approx(60.0, abs=1.0)]

    proven(scene, settings=one_kind(), behave=steady(FOREVER))


@both_ways
def test_what_a_restarted_agent_adopts_has_the_rest_of_its_time_limit_where_the_clock_is_wrong(
    seconds: float,
) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(world, seconds, timeout="200s", retries=0)
        await asyncio.sleep(50.0)
        machine.kill_agent()
        await world.until_ended(job)
        assert kinds(world, f"{job}/0") == ["timed_out"]
        assert ran_for(world, f"{job}/0") == [pytest.approx(200.0, abs=1.0)]

    proven(scene, settings=one_kind(), behave=steady(FOREVER))


@both_ways
def test_what_a_restarted_agent_adopts_has_the_rest_of_its_time_limit_though_the_clock_was_set_meanwhile(
    seconds: float,
) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world, timeout="200s", retries=0)
        await asyncio.sleep(50.0)
        machine.kill_agent()
        machine.step_clock(seconds)
        await world.until_ended(job)
        assert ran_for(world, f"{job}/0") == [pytest.approx(200.0, abs=1.0)]

    proven(scene, settings=one_kind(), behave=steady(FOREVER))


# leases


@both_ways
def test_nobody_takes_over_from_a_machine_whose_clock_is_wrong(seconds: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(world, seconds)
        await asyncio.sleep(LEASE)
        more = await world.submit(array=4)
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        assert (kinds(world, f"{job}/0"), hosts(world, f"{job}/0")) == (["succeeded"], [machine.id])
        assert ran_for(world, f"{job}/0") == [pytest.approx(400.0)]

    proven(scene, settings=one_kind(), behave=steady(400.0))


@both_ways
def test_a_clock_that_is_set_ends_no_lease(seconds: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        for _ in range(3):
            await asyncio.sleep(30.0)
            machine.step_clock(seconds)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert kinds(world, f"{job}/0") == ["succeeded"]
        assert not told(world, machine, "beat failed")

    proven(scene, settings=one_kind(), behave=steady(300.0))


@both_ways
def test_a_container_that_was_cut_off_is_stopped_in_time_where_the_clock_is_wrong(seconds: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(world, seconds)
        cut = time()
        async with world.fault(Fault(Effect.UNREACHABLE, process=f"{machine.id}/*")):
            machine.step_clock(-seconds)
            await asyncio.sleep(4 * LEASE)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert cut + LEASE / 3 < seen(world, "container-ended", f"{job}/0")[0].at < cut + LEASE
        assert kinds(world, f"{job}/0") == ["lost", "succeeded"]
        assert never_two_at_once(world, f"{job}/0")

    proven(scene, settings=one_kind(), behave=steady(300.0))


# notices


@both_ways
@pytest.mark.parametrize("step", [False, True], ids=["skewed", "set after the notice"])
def test_a_spot_notice_leaves_as_much_time_where_the_clock_is_wrong(seconds: float, step: bool) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(world, 0.0 if step else seconds)
        world.reclaim(machine)
        ends = time() + SPOT_NOTICE
        if step:
            await asyncio.sleep(30.0)
            machine.step_clock(seconds)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert kinds(world, f"{job}/0") == ["interrupted", "succeeded"]
        stopped = ends - RELEASE_BEFORE - RECORDING - GRACE
        (ended, _) = seen(world, "container-ended", f"{job}/0")
        assert stopped - SOON < ended.at < stopped + SOON
        back = [event.at for event in seen(world, "shown", f"{job}/0") if event.by.startswith(machine.id)]
        assert back[-1] <= ends - RELEASE_BEFORE

    proven(scene, settings=one_kind(), behave=steady(300.0))


@both_ways
def test_a_hook_holds_a_machine_up_as_long_where_the_clock_is_wrong(seconds: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(world, seconds)
        ask(
            world,
            "terminate_instance_in_auto_scaling_group",
            InstanceId=machine.id,
            ShouldDecrementDesiredCapacity=True,
        )
        machine.step_clock(-2 * seconds)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert (kinds(world, f"{job}/0"), hosts(world, f"{job}/0")) == (["succeeded"], [machine.id])

    proven(scene, settings=one_kind(), behave=steady(900.0))


# machines and controllers


@both_ways
def test_no_machine_is_given_up_because_its_clock_is_wrong_or_was_set(seconds: float) -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(world, seconds)
        await asyncio.sleep(600.0)
        machine.step_clock(-2 * seconds)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert not said(world, "machine is replaced")
        assert len(world.machines) == 1

    proven(scene, settings=one_kind(), behave=steady(1200.0))


@pytest.mark.parametrize("skews", [(-300.0, 300.0), (300.0, -300.0)], ids=["behind, ahead", "ahead, behind"])
def test_controllers_that_do_not_agree_on_the_time_get_the_work_done(skews: tuple[float, float]) -> None:
    async def scene(world: World) -> None:
        for name, skew in zip(("first", "second"), skews, strict=True):
            world.start_controller(name, skew)
        job = await world.submit(array=20, retries={"count": 2, "backoff": "5s"})
        record = await world.until_ended(job)
        assert (record.status, record.counts.succeeded) == (Status.SUCCEEDED, 20)
        started = [event.subject for event in world.history.of("container-started")]
        assert sorted(started) == sorted(f"{job}/{index}" for index in range(20))

    proven(scene, settings=a_fleet(), behave=steady(60.0))


def test_a_bag_of_work_is_done_where_no_two_clocks_agree() -> None:
    async def scene(world: World) -> None:
        world.skew = 300.0
        world.start_controller(skew=-300.0)
        job = await world.submit(array=24, timeout="100s", retries=0)
        record = await world.until_ended(job)
        assert (record.status, record.counts.succeeded) == (Status.SUCCEEDED, 24)
        assert all(charged(world, f"{job}/{index}") == [(0, 0)] for index in range(24))
        skews = sorted(machine.skew for machine in world.machines.values())
        assert skews[-1] - skews[0] > 100.0

    proven(scene, settings=a_fleet(), behave=steady(90.0))


def test_a_backoff_is_as_long_where_no_two_clocks_agree() -> None:
    backoff = 60.0

    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(20.0, exit_code=0 if spec.name.endswith("-2") else 1)

    async def scene(world: World) -> None:
        job, machine = await one_runs_where_the_clock_is_wrong(
            world, 300.0, retries={"count": 1, "backoff": backoff}
        )
        await world.until(lambda: bool(kinds(world, f"{job}/0")))
        failed = time()
        machine.step_clock(-600.0)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        again = seen(world, "begun", f"{job}/0")[1].at
        assert backoff / 2 <= again - failed <= backoff + 2 * BOOT

    proven(scene, settings=one_kind(maximum=1), behave=behave)
