"""An instance gives itself back: one decrement at most, never left in service. Virtual time, a simulated group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.simulation.clock import run
from controller.simulation.services.autoscaling import Group, SimulatedAutoScaling
from controller.simulation.services.service import denied, refused, throttled, unreachable
from runner.adapters.ec2.group import OwnGroup
from runner.adapters.ec2.retirement import retire

TERMINATE = "terminate_instance_in_auto_scaling_group"


class Place:
    def __init__(self, others: int = 2, **group: object) -> None:
        self.group = Group("g", **group)  # type: ignore[arg-type]
        self.aws = SimulatedAutoScaling(self.group)
        for _ in range(others):
            self.aws.running("g")
        self.member = self.aws.running("g")

    async def retire(self) -> bool:
        done = await retire(OwnGroup(self.aws, self.member.id))
        await asyncio.sleep(10)
        return done

    @property
    def gone(self) -> bool:
        return self.member.id not in self.group.members

    @property
    def decrements(self) -> int:
        return sum(call["ShouldDecrementDesiredCapacity"] for call in self.aws.called(TERMINATE))


def play(scene: Callable[[Place], Awaitable[None]], others: int = 2, **group: object) -> None:
    async def main() -> None:
        await scene(Place(others, **group))

    run(main())


@pytest.mark.parametrize("hook", [True, False])
def test_it_leaves_and_the_group_wants_one_less(hook: bool) -> None:
    async def scene(place: Place) -> None:
        assert await place.retire()
        assert place.gone
        assert place.group.desired == 2

    play(scene, hook=hook)


def test_no_hook_is_left_waiting() -> None:
    async def scene(place: Place) -> None:
        await place.retire()
        assert len(place.aws.called("complete_lifecycle_action")) == 1

    play(scene)


def test_at_the_minimum_it_is_replaced() -> None:
    async def scene(place: Place) -> None:
        assert await place.retire()
        assert place.gone
        assert place.group.desired == 3
        await asyncio.sleep(100)
        assert len(place.group.members) == 3

    play(scene, minimum=3)


def test_a_reply_that_was_lost_does_not_decrement_twice() -> None:
    async def scene(place: Place) -> None:
        place.aws.deaf[TERMINATE] = 1
        assert await place.retire()
        assert place.gone
        assert place.group.desired == 2

    play(scene)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_group_that_shows_late_what_it_does_is_not_asked_twice(lost: int) -> None:
    async def scene(place: Place) -> None:
        place.aws.deaf[TERMINATE] = lost
        assert await place.retire()
        assert (place.gone, place.group.desired, place.decrements) == (True, 2, 1)

    play(scene, lag=8.0)


def test_a_request_that_never_arrived_is_made_again() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing[TERMINATE].append(unreachable())
        assert await place.retire()
        assert place.gone
        assert place.group.desired == 2

    play(scene)


@pytest.mark.parametrize("code", ["ScalingActivityInProgress", "ResourceContention"])
def test_a_busy_group_is_asked_again(code: str) -> None:
    async def scene(place: Place) -> None:
        place.aws.failing[TERMINATE].extend([refused(code)] * 3)
        assert await place.retire()
        assert (place.gone, place.group.desired, place.decrements) == (True, 2, 4)

    play(scene)


def test_throttling_is_waited_out() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing["describe_auto_scaling_instances"].extend([throttled()] * 3)
        place.aws.failing[TERMINATE].extend([throttled()] * 3)
        assert await place.retire()
        assert (place.gone, place.group.desired) == (True, 2)

    play(scene)


def test_one_that_may_not_terminate_itself_reports_itself_unhealthy() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing[TERMINATE].extend([denied()] * 10)
        assert await place.retire()
        assert place.gone

    play(scene)


def test_one_that_may_do_nothing_gives_up_in_the_end() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing[TERMINATE].extend([denied()] * 10)
        place.aws.failing["set_instance_health"].extend([denied()] * 10)
        assert not await place.retire()
        assert len(place.aws.calls) < 50

    play(scene)


def test_one_that_the_group_ends_already_only_lets_go() -> None:
    async def scene(place: Place) -> None:
        place.aws.scale_in("g", place.member.id)
        assert await place.retire()
        assert (place.gone, place.group.desired) == (True, 2)
        assert place.aws.called(TERMINATE) == []

    play(scene)


def test_one_that_belongs_to_no_group_stays() -> None:
    async def scene(place: Place) -> None:
        place.group.members.clear()
        assert not await place.retire()
        assert place.aws.called(TERMINATE) == []

    play(scene)


def test_several_at_once_decrement_once_each_and_never_below_the_minimum() -> None:
    async def scene(place: Place) -> None:
        await asyncio.gather(*(retire(OwnGroup(place.aws, name)) for name in list(place.group.members)))
        await asyncio.sleep(100)
        assert place.group.desired == 2
        assert len(place.group.members) == 2

    play(scene, others=5, minimum=2)


def test_a_group_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing["describe_auto_scaling_instances"].extend([denied()] * 1000)
        async with asyncio.timeout(400):
            assert not await place.retire()
        assert len(place.aws.calls) < 30

    play(scene)
