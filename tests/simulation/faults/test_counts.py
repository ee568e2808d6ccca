"""Counts of the queues that are late, missing or wrong: the fleet is held, and no machine goes too early.

| case | fault | scenarios |
|---|---|---|
| 38 | counts stale, zero, missing, or an error | all |
"""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.workload import steady
from controller.simulation.world import World
from runner.model import Status
from runner.settings import FLEET_AGENT
from tests.simulation.faults.machines import (
    group_of,
    ran_once_each,
    reasons,
)
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import (
    one_kind,
    one_runs,
    said,
    tap,
    three_on_two,
    time,
)

IDLE = FLEET_AGENT.idle


def idle_ends(world: World) -> dict[str, float]:
    """When each machine decided that it was not needed any more."""
    return {event.by.partition("/")[0]: event.at for event in said(world, "draining", reason="idle")}


def nothing_waited(world: World, at: float) -> bool:
    """Whether no task waited to be begun for most of the minute before that."""
    for registered in world.history.of("registered"):
        begun = [
            event.at for event in world.history.of("begun") if event.subject.startswith(registered.subject)
        ]
        if registered.at < at - 15.0 and max(begun) > at - 55.0:
            return False
    return True


def test_with_counts_a_minute_old_no_machine_goes_before_nothing_waited_for_a_minute() -> None:
    async def scene(world: World) -> None:
        world.sqs.behaviour.lag = 60.0
        world.start_controller()
        for _ in range(3):
            job = await world.submit(array=6)
            await world.until_ended(job)
            await asyncio.sleep(90.0)
        assert ran_once_each(world, job, 6)
        await world.until_empty()
        ends = idle_ends(world)
        assert sorted(ends) == sorted(world.machines)
        assert all(nothing_waited(world, at) for at in ends.values())
        for machine, at in ends.items():
            mine = [event.at for event in world.history.of("recorded") if event.by.startswith(f"{machine}/")]
            assert not [each for each in mine if at - IDLE < each < at]

    proven(scene, settings=one_kind(), behave=steady(30.0))


@pytest.mark.parametrize("effect", [Effect.DENIED, Effect.FAILED, Effect.THROTTLED])
def test_while_the_queues_cannot_be_counted_the_fleet_is_held_and_tasks_go_on(effect: Effect) -> None:
    async def scene(world: World) -> None:
        job, full, other = await three_on_two(world)
        desired = group_of(world).desired
        async with world.fault(Fault(effect, "sqs", "get_queue_attributes", process="controller*")):
            await asyncio.sleep(60.0)
            more = await world.submit(array=8)
            await asyncio.sleep(60.0)
            assert group_of(world).desired == desired
            assert "held" in await reasons(world)
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert (await world.until_ended(more)).status is Status.SUCCEEDED
        assert ran_once_each(world, job, 3)
        assert {full.id, other.id} < set(world.machines)

    proven(scene, settings=one_kind(), behave=steady(300.0))


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="missing"),
        pytest.param({"ApproximateNumberOfMessages": "many"}, id="no numbers"),
    ],
)
def test_counts_that_are_missing_are_not_taken_for_zero(attributes: dict[str, str]) -> None:
    async def scene(world: World) -> None:
        job, _, _ = await three_on_two(world)
        listening = tap(world, "sqs")
        listening.instead = lambda operation, _: (
            {"Attributes": attributes} if operation == "get_queue_attributes" else None
        )
        before = set(world.machines)
        await asyncio.sleep(60.0)
        more = await world.submit(array=8)
        await asyncio.sleep(120.0)
        assert set(world.machines) == before
        assert "held" in await reasons(world)
        assert not idle_ends(world)
        listening.instead = lambda _operation, _parameters: None
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED

    proven(scene, settings=one_kind(), behave=steady(400.0))


def test_counts_of_zero_end_no_machine_while_the_ledger_knows_of_tasks_that_wait() -> None:
    zero = dict.fromkeys(
        (
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ),
        "0",
    )

    async def scene(world: World) -> None:
        job, _, _ = await three_on_two(world)
        more = await world.submit(array=8)
        listening = tap(world, "sqs")
        listening.instead = lambda operation, _: (
            {"Attributes": zero} if operation == "get_queue_attributes" else None
        )
        await asyncio.sleep(100.0)
        listening.instead = lambda _operation, _parameters: None
        for each in (job, more):
            assert (await world.until_ended(each)).status is Status.SUCCEEDED
        assert ran_once_each(world, job, 3)
        assert ran_once_each(world, more, 8)
        assert all(nothing_waited(world, at) for at in idle_ends(world).values())

    proven(scene, settings=one_kind(), behave=steady(100.0))


def test_while_nobody_leads_an_idle_machine_stays() -> None:
    async def scene(world: World) -> None:
        job, machine = await one_runs(world)
        await world.until_ended(job)
        world.controllers["controller"].kill(restart=900.0)
        back = time() + 900.0
        await world.until(lambda: machine.id in idle_ends(world))
        assert idle_ends(world)[machine.id] > back + 60.0

    proven(scene, settings=one_kind(), behave=steady(20.0))
