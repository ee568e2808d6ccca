"""Groups that others scale, and machines that leave them: nothing that runs is ended, and each takes one decrement.

| case | fault | scenarios |
|---|---|---|
| 34 | scale-in, rebalancing, hooks | `…_scales_in_…`, `…_zones_…`, `…_terminates_…`, `…_hook_…`, `…_given_up_…` |
| 35 | decrements race; at the minimum | `…_decrement_…`, `…_minimum_…`, `…_more_are_wanted_…`, `…_end_itself_…` |

Every step of giving an instance back (35): `tests/ec2/test_retirement.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.play import a_fleet
from controller.simulation.workload import Behaviour, steady
from controller.simulation.world import World
from runner.instances import KNOWN
from runner.model import Status
from runner.ports import ContainerSpec
from runner.settings import FLEET_AGENT, Environment
from tests.simulation.faults.machines import (
    ask,
    group_of,
    kept,
    launched,
    ran_once_each,
    told,
)
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    hosts,
    kinds,
    one_kind,
    one_runs,
    said,
    tasks_on,
    three_on_two,
    time,
)

IDLE = FLEET_AGENT.idle
BOOT = 90.0


def want(world: World, desired: int) -> None:
    ask(
        world,
        "set_desired_capacity",
        AutoScalingGroupName=group_of(world).name,
        DesiredCapacity=desired,
        HonorCooldown=False,
    )


async def group_looks(world: World) -> None:
    """At last the group finds that instances it could not end are protected no more."""
    await asyncio.sleep(100.0)
    for _ in group_of(world).staying:
        world.autoscaling.settle(group_of(world))


# 34: others scale


def test_a_group_that_somebody_scales_in_keeps_the_instances_that_work() -> None:
    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        await world.until(lambda: all(member.protected for member in group_of(world).members.values()))
        want(world, 0)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert ran_once_each(world, job, 3)
        ended = max(event.at for event in world.history.of("container-ended"))
        assert all(event.at > ended for event in world.history.of("Terminating"))
        assert {full.id, other.id} == set(world.machines)
        await group_looks(world)

    proven(scene, settings=one_kind(), behave=steady(300.0))


def test_of_a_group_that_somebody_scales_in_an_idle_instance_goes_and_no_other() -> None:
    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        world.controllers["controller"].kill(restart=500.0)  # where nobody leads, idle machines stay
        await world.until(lambda: not group_of(world).members[other.id].protected)
        want(world, 1)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert ran_once_each(world, job, 3)
        ends = {event.subject: event.at for event in world.history.of("Terminating")}
        assert other.id in ends
        assert full.id not in ends

    def behave(spec: ContainerSpec) -> Behaviour:
        return Behaviour(100.0 if spec.index == 2 else 400.0)

    proven(scene, settings=one_kind(), behave=behave)


def test_while_zones_are_balanced_no_instance_that_works_goes() -> None:
    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        for _ in range(2):
            world.autoscaling.rebalance(group_of(world).name)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert ran_once_each(world, job, 3)
        assert len(launched(world)) == 4
        ended = max(event.at for event in world.history.of("container-ended"))
        ends = {event.subject: event.at for event in world.history.of("Terminating")}
        assert ends.get(full.id, ended) >= ended
        assert ends.get(other.id, ended) >= ended
        await group_looks(world)

    proven(scene, settings=one_kind(maximum=6), behave=steady(300.0))


def test_an_instance_that_somebody_terminates_is_held_up_until_what_it_runs_has_ended() -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        running = tasks_on(full)
        member = group_of(world).members[full.id]
        ask(
            world,
            "terminate_instance_in_auto_scaling_group",
            InstanceId=full.id,
            ShouldDecrementDesiredCapacity=True,
        )
        since = time()
        await asyncio.sleep(10.0)
        more = await world.submit(array=4)
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        for task in running:
            assert (kinds(world, task), hosts(world, task)) == (["succeeded"], [full.id])
        assert kept(world, full, since + 5.0) == []
        assert member.heartbeats >= 2
        assert not full.on

    proven(scene, settings=one_kind(), behave=steady(900.0))


@pytest.mark.parametrize("effect", [Effect.THROTTLED, Effect.DENIED])
def test_a_hook_whose_heartbeats_fail_for_a_while_does_not_run_out(effect: Effect) -> None:
    async def scene(world: World) -> None:
        job, full, _ = await three_on_two(world)
        ask(
            world,
            "terminate_instance_in_auto_scaling_group",
            InstanceId=full.id,
            ShouldDecrementDesiredCapacity=True,
        )
        await asyncio.sleep(60.0)
        async with world.fault(Fault(effect, "autoscaling", process=f"{full.id}/*")):
            await asyncio.sleep(200.0)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert ran_once_each(world, job, 3)

    proven(scene, settings=one_kind(), behave=steady(900.0))


def test_an_instance_that_its_group_has_given_up_goes_once_it_is_idle() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        world.autoscaling.rebalance(group_of(world).name)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        await world.until(lambda: not machine.on, limit=1800.0)

    proven(scene, settings=one_kind(), behave=steady(600.0))


# 35: decrements


@pytest.mark.parametrize(
    "effect", [Effect.LOST, Effect.RESET, Effect.FAILED_AFTER, Effect.FAILED, Effect.THROTTLED]
)
def test_each_machine_takes_one_decrement_whatever_becomes_of_replies_and_requests(effect: Effect) -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        async with world.fault(Fault(effect, "autoscaling", "terminate*", share=0.7)):
            for _ in range(2):
                job = await world.submit(array=6)
                await world.until_ended(job)
                await asyncio.sleep(IDLE + 20.0)
            await world.until_empty()
        lower = [event for event in world.history.of("desired") if event.more["now"] < event.more["before"]]
        assert all(event.more["before"] - event.more["now"] == 1 for event in lower)
        by = [event.by.partition("/")[0] for event in lower]
        assert sorted(by) == sorted(set(by)) == sorted(world.machines)
        assert group_of(world).desired == 0

    proven(scene, settings=one_kind(), behave=steady(20.0))


def test_machines_that_go_while_more_are_wanted_take_none_of_those() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        first = await world.submit(array=6)
        await world.until_ended(first)
        await world.until(lambda: bool(said(world, "draining")), look=0.05)
        more = await world.submit(array=8)
        assert (await world.until_ended(more)).status is Status.SUCCEEDED
        await world.until_empty()
        assert group_of(world).desired == 0
        members = [event.subject for event in launched(world)]
        ups = sum(
            event.more["now"] - event.more["before"]
            for event in world.history.of("desired")
            if "/" not in event.by
        )
        assert ups == len(members)

    proven(scene, settings=one_kind(), behave=steady(60.0))


def a_minimum(minimum: int) -> Any:
    return a_fleet(Environment("spot", (KNOWN["m6i.large"],), minimum=minimum, maximum=4))


def test_a_group_at_its_minimum_keeps_its_machines_alive_and_able() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(array=6)
        await world.until_ended(job)
        await world.until_empty()
        await asyncio.sleep(600.0)
        (member,) = group_of(world).members.values()
        machine = world.machines[member.id]
        assert (group_of(world).desired, member.state, machine.on) == (1, "InService", True)
        assert machine.life is not None
        again = await world.submit(array=1)
        assert (await world.until_ended(again)).status is Status.SUCCEEDED
        assert hosts(world, f"{again}/0") == [machine.id]

    proven(scene, settings=a_minimum(1), behave=steady(20.0))


def test_when_all_go_at_once_the_group_is_left_with_its_minimum_and_none_of_it_is_dead() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        job = await world.submit(array=8)
        await world.until_ended(job)
        group = group_of(world)
        await world.until(lambda: len(group.members) == 1, limit=3600.0)
        await asyncio.sleep(300.0)
        assert group.desired == 1
        (member,) = group.members.values()
        assert member.state == "InService"
        assert world.machines[member.id].life is not None
        assert min(event.more["now"] for event in world.history.of("desired")) >= 1

    proven(scene, settings=a_minimum(1), behave=steady(60.0))


def test_at_the_minimum_a_machine_that_is_reclaimed_is_replaced_and_none_is_left_dead_in_service() -> None:
    async def scene(world: World) -> None:
        world.start_controller()
        await world.until(lambda: any(machine.life for machine in world.alive))
        (machine,) = world.alive
        await asyncio.sleep(30.0)
        machine.site.metadata.recommend_rebalance()
        await world.until(lambda: machine.exited, limit=600.0)
        await world.until(lambda: machine.id not in group_of(world).members, limit=600.0)
        (member,) = group_of(world).members.values()
        await world.until(lambda: world.machines[member.id].life is not None, limit=2 * BOOT)
        assert group_of(world).desired == 1
        assert told(world, machine, "giving the instance back")

    proven(scene, settings=a_minimum(1))


def test_a_machine_that_may_not_end_itself_reports_itself_unhealthy_and_goes() -> None:
    async def scene(world: World) -> None:
        async with world.fault(Fault(Effect.DENIED, "autoscaling", "terminate*", process="i-*")):
            job, machine = await one_runs(world)
            assert (await world.until_ended(job)).status is Status.SUCCEEDED
            await world.until(lambda: machine.exited)
            member = group_of(world).members.get(machine.id)
            assert member is None or member.state.startswith("Terminat")

    proven(scene, settings=one_kind(), behave=steady(20.0))
