"""Controllers: killed while they enqueue, two at once, frozen and back, without rights.

| case | fault | scenarios |
|---|---|---|
| 10 | killed in the middle of enqueueing | `test_a_submit_…`, `test_a_controller_that_is_killed_…` |
| 13 | rights or credentials gone | `test_a_controller_without_…` |
| 19 | two controllers at once | `test_of_two_controllers_…`, `test_a_leader_that_…`, `test_what_a_superseded_…` |

Processes that are killed for real (10) are in `tests/faults/test_processes.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from controller.simulation.faults import Effect, Fault
from controller.simulation.workload import steady
from controller.simulation.world import World
from runner.model import Status
from runner.settings import Settings
from tests.simulation.faults.proof import proven
from tests.simulation.faults.scenes import Tap, begun, one_kind, said, tap, time


def sent(world: World) -> int:
    return len(list(world.history.of("sent")))


def with_window(window: int, settings: Settings) -> Settings:
    return replace(settings, supervisor=replace(settings.supervisor, window=window))


# 10: killed while enqueueing


@pytest.mark.parametrize("reached", [1, 250, 990])
def test_a_submit_of_5000_that_is_killed_in_its_first_window_leaves_nothing_out(reached: int) -> None:
    async def scene(world: World) -> None:
        for group in world.autoscaling.groups.values():
            group.starved = "no capacity"
        process, _ = world.submitting(array=5000)
        await world.until(lambda: sent(world) >= reached, look=0.002)
        process.kill()
        world.start_controller()
        await asyncio.sleep(60.0)
        (job,) = (event.subject for event in world.history.of("registered"))
        record = await world.job(job)
        times = Counter(event.subject for event in world.history.of("sent"))
        assert set(times) == {f"{job}/{index}" for index in range(record.sent)}
        assert record.sent == 1000
        assert max(times.values()) <= 2
        await world.cancel(job)

    proven(scene, settings=one_kind(300))


@pytest.mark.parametrize("after", [1, 120])
def test_a_controller_that_is_killed_while_it_enqueues_repeats_a_window_at_most_and_each_repeat_is_refused(
    after: int,
) -> None:
    window = 200

    async def scene(world: World) -> None:
        job = await begun(world, array=500)
        first = sent(world)
        await world.until(lambda: sent(world) >= first + after, look=0.002)
        world.controllers["controller"].kill()
        record = await world.until_ended(job)
        assert record.counts.succeeded == 500
        times = Counter(event.subject for event in world.history.of("sent"))
        assert set(times) == {f"{job}/{index}" for index in range(500)}
        assert 0 < sum(times.values()) - 500 <= window
        attempts = Counter(event.subject for event in world.history.of("begun"))
        assert set(attempts.values()) == {1}

    proven(scene, settings=with_window(window, one_kind(3, "m6i.16xlarge")), behave=steady(5.0))


# 13: no rights


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("sqs", "get_queue_attributes", "sqs:GetQueueAttributes"),
        ("autoscaling", "describe_auto_scaling_groups", "autoscaling:DescribeAutoScalingGroups"),
        ("dynamodb", "query", "dynamodb:Query"),
    ],
)
def test_a_controller_without_its_rights_is_unhealthy_names_the_action_and_asks_ever_less_often(
    service: str, operation: str, action: str, code: str
) -> None:
    async def scene(world: World) -> None:
        async with world.fault(Fault(Effect.DENIED, service, operation, "controller*", code=code)):
            job = await begun(world, array=2)
            await asyncio.sleep(300.0)
            trouble = world.controllers["controller"].supervisor.health.trouble(time())
            assert f"{action}" in trouble
            assert f"failed: {code}" in trouble
            assert not world.machines
            failed = said(world, "step failed")
            assert 3 < len(failed) < 40
        assert (await world.until_ended(job)).status is Status.SUCCEEDED
        assert not world.controllers["controller"].supervisor.health.trouble(time())

    proven(scene, settings=one_kind(), behave=steady(5.0))


# 19: two at once


def acts(world: World, since: float = 0.0) -> Counter[str]:
    """What controllers did to queues, groups and agents, by process."""
    return Counter(
        event.by
        for event in world.history.of("sent", "desired", "published")
        if event.by.startswith("controller") and event.at > since
    )


def refused_as_leader(listening: Tap, by: str, since: float = 0.0) -> int:
    """How many of its writes about who leads failed."""
    return sum(
        call.code == "ConditionalCheckFailedException" and "LEADER" in str(call.parameters)
        for call in listening.of("update_item", by=by)
        if call.at > since
    )


def test_of_two_controllers_only_the_one_that_holds_the_lease_acts() -> None:
    async def scene(world: World) -> None:
        listening = tap(world, "dynamodb")
        world.start_controller("controller-a")
        world.start_controller("controller-b")
        jobs = [await world.submit(array=40) for _ in range(2)]
        for job in jobs:
            assert (await world.until_ended(job)).counts.succeeded == 40
        (leader,) = (event.subject for event in world.history.of("leads"))
        (other,) = {"controller-a.1", "controller-b.1"} - {leader}
        assert set(acts(world)) == {leader}
        assert refused_as_leader(listening, other) > 10
        assert refused_as_leader(listening, leader) == 0

    proven(scene, settings=one_kind(), behave=steady(20.0))


def test_a_leader_that_was_frozen_and_superseded_does_nothing_more() -> None:
    async def scene(world: World) -> None:
        listening = tap(world, "dynamodb")
        first = world.start_controller("controller-a")
        job = await world.submit(array=60)
        world.start_controller("controller-b")
        await asyncio.sleep(100.0)
        first.freeze()
        await world.until(
            lambda: [event.subject for event in world.history.of("leads")][-1] == "controller-b.1"
        )
        await asyncio.sleep(10.0)
        first.thaw()
        thawed = time()
        assert (await world.until_ended(job)).counts.succeeded == 60
        assert set(acts(world, thawed)) == {"controller-b.1"}
        assert refused_as_leader(listening, "controller-a.1", thawed) > 0
        assert [event.subject for event in world.history.of("leads")] == ["controller-a.1", "controller-b.1"]

    proven(scene, settings=one_kind(), behave=steady(30.0))


def test_what_a_superseded_leader_still_sends_is_refused_and_moves_nothing_back() -> None:
    """It is frozen in the middle of a window, and goes on with that."""

    async def scene(world: World) -> None:
        first = world.start_controller("controller-a")
        await world.until(lambda: bool(list(world.history.of("leads"))))
        world.start_controller("controller-b")
        process, _ = world.submitting(array=300)
        await world.until(lambda: bool(list(world.history.of("registered"))), look=0.001)
        process.kill()
        await world.until(lambda: sent(world) > 0, look=0.001)
        assert sent(world) < 150
        first.freeze()
        (job,) = (event.subject for event in world.history.of("registered"))
        await world.until(lambda: sent(world) > 200)
        cursor = (await world.job(job)).sent
        first.thaw()
        thawed = time()
        await asyncio.sleep(5.0)
        assert acts(world, thawed)["controller-a.1"] > 0
        assert (await world.job(job)).sent >= cursor
        assert (await world.until_ended(job)).counts.succeeded == 300
        attempts = Counter(event.subject for event in world.history.of("begun"))
        assert set(attempts.values()) == {1}
        assert acts(world, thawed + 5.0)["controller-a.1"] == 0

    proven(scene, settings=with_window(150, one_kind(2, "m6i.16xlarge")), behave=steady(20.0))


def test_a_leader_that_is_killed_is_succeeded_within_its_lease() -> None:
    async def scene(world: World) -> None:
        first = world.start_controller("controller-a")
        job = await world.submit(array=6)
        world.start_controller("controller-b")
        await asyncio.sleep(20.0)
        first.kill(restart=None)
        killed = time()
        await world.until(lambda: len(list(world.history.of("leads"))) == 2)
        own = world.settings.supervisor
        assert time() - killed <= own.lease + own.interval + 1.0
        assert (await world.until_ended(job)).counts.succeeded == 6

    proven(scene, settings=one_kind(), behave=steady(5.0))
