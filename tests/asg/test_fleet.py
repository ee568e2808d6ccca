"""A fleet of Auto Scaling groups in virtual time.

Emulated: Auto Scaling (`controller.simulation.services.autoscaling`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.adapters.asg import AsgFleet
from controller.simulation.clock import now, run
from controller.simulation.services.autoscaling import Group, SimulatedAutoScaling
from controller.simulation.services.service import denied, throttled
from runner.aws import AwsError
from runner.errors import Unavailable
from runner.instances import InstanceType
from runner.settings import Environment, FleetSettings, QueueSettings

STARVED = "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity. "
LAUNCH_FAILED = "Launching EC2 instance failed."


def settings(*environments: str) -> FleetSettings:
    kind = InstanceType("m7i.large", 2, 8 * 1024**3)
    return FleetSettings(
        name="f",
        region="us-east-1",
        table="f",
        environments={name: Environment(name, (kind,)) for name in environments},
        queues={"default": QueueSettings(environments=environments)},
    )


class Place:
    def __init__(self, *names: str, **group: object) -> None:
        self.groups = {name: Group(f"f-{name}", **group) for name in names}  # type: ignore[arg-type]
        self.aws = SimulatedAutoScaling(*self.groups.values())
        self.fleet = AsgFleet(self.aws, settings(*names), now)

    @property
    def desired(self) -> int:
        return self.groups["a"].desired


def play(scene: Callable[[Place], Awaitable[None]], *names: str, **group: object) -> None:
    async def main() -> None:
        await scene(Place(*(names or ("a",)), **group))

    run(main())


def test_machines_are_counted_by_environment() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 3)
        await asyncio.sleep(61)
        await place.fleet.resize("a", 5)
        await place.fleet.resize("b", 1)
        found = await place.fleet.capacity()
        assert (found["a"].desired, found["a"].running, found["a"].pending) == (5, 3, 2)
        assert (found["b"].desired, found["b"].running, found["b"].pending) == (1, 0, 1)
        assert (found["a"].minimum, found["a"].maximum) == (0, 10)

    play(scene, "a", "b")


def test_one_that_terminates_does_not_run() -> None:
    async def scene(place: Place) -> None:
        member = place.aws.running("f-a")
        place.aws.scale_in("f-a", member.id)
        found = (await place.fleet.capacity())["a"]
        assert (found.running, found.pending, found.instances[0].leaving) == (0, 0, True)

    play(scene)


def test_one_that_is_unhealthy_is_leaving() -> None:
    async def scene(place: Place) -> None:
        place.aws.running("f-a").healthy = False
        found = (await place.fleet.capacity())["a"]
        assert (found.running, found.instances[0].leaving) == (0, True)

    play(scene)


def test_fewer_than_were_asked_for_changes_nothing() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 5)
        await place.fleet.resize("a", 2)
        assert place.desired == 5

    play(scene)


def test_no_more_are_asked_for_than_the_group_may_have() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 50)
        assert place.desired == 10

    play(scene)


def test_what_somebody_set_by_hand_meanwhile_is_not_lowered() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.capacity()
        place.groups["a"].desired = 8
        await place.fleet.resize("a", 4)
        assert place.desired == 8

    play(scene)


def test_what_was_asked_for_in_vain_is_taken_back_down_to_what_there_is() -> None:
    async def scene(place: Place) -> None:
        place.aws.running("f-a")
        await place.fleet.resize("a", 5)
        await place.fleet.capacity()
        await place.fleet.resize("a", 0)
        assert place.desired == 1

    play(scene, starved=STARVED)


def test_machines_that_came_since_the_last_look_stay() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 2)
        await place.fleet.capacity()
        place.groups["a"].starved = ""
        place.aws.settle(place.groups["a"])
        await place.fleet.resize("a", 0)
        assert place.desired == 2

    play(scene, starved=STARVED)


def test_a_starved_group_keeps_its_minimum() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 5)
        await place.fleet.capacity()
        await place.fleet.resize("a", 1)
        assert place.desired == 2

    play(scene, starved=STARVED, minimum=2)


def test_trouble_is_remembered_though_nothing_is_asked_for_any_more() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 5)
        await place.fleet.capacity()
        await place.fleet.resize("a", 0)
        await asyncio.sleep(299)
        assert (await place.fleet.capacity())["a"].trouble is not None
        await asyncio.sleep(2)
        assert (await place.fleet.capacity())["a"].trouble is None

    play(scene, starved=STARVED)


def test_once_the_pause_is_over_the_group_is_really_asked_again() -> None:
    async def scene(place: Place) -> None:
        for desired in (5, 0, 5):
            await place.fleet.resize("a", desired)
            await place.fleet.capacity()
            await asyncio.sleep(200)
        failures = [each for each in place.groups["a"].activities if each["StatusCode"] == "Failed"]
        assert len(failures) == 2

    play(scene, starved=STARVED)


def test_no_capacity_is_seen_at_the_next_look() -> None:
    async def scene(place: Place) -> None:
        began = now()
        await place.fleet.resize("a", 3)
        trouble = (await place.fleet.capacity())["a"].trouble
        assert trouble is not None
        assert trouble.reason == STARVED.strip()
        assert (trouble.since, trouble.last) == (began, began)
        assert place.fleet.trouble == f"a: {STARVED.strip()}"

    play(scene, starved=STARVED + LAUNCH_FAILED)


def test_trouble_lasts_from_the_first_failure_to_the_latest() -> None:
    async def scene(place: Place) -> None:
        began = now()
        await place.fleet.resize("a", 1)
        await asyncio.sleep(100)
        place.aws.settle(place.groups["a"])
        trouble = (await place.fleet.capacity())["a"].trouble
        assert trouble is not None
        assert (trouble.since, trouble.last) == (began, began + 100)

    play(scene, starved=STARVED)


def test_trouble_is_over_when_a_launch_succeeds() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 1)
        assert (await place.fleet.capacity())["a"].trouble is not None
        place.groups["a"].starved = ""
        place.aws.settle(place.groups["a"])
        assert (await place.fleet.capacity())["a"].trouble is None
        assert place.fleet.trouble == ""

    play(scene, starved=STARVED)


def test_activities_are_read_only_when_they_have_something_to_say() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 2)
        await place.fleet.capacity()
        await asyncio.sleep(61)
        for _ in range(100):
            await place.fleet.capacity()
        assert len(place.aws.called("describe_scaling_activities")) == 1

    play(scene)


def test_throttled_activities_leave_what_was_known() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.resize("a", 1)
        before = (await place.fleet.capacity())["a"].trouble
        place.aws.failing["describe_scaling_activities"].append(throttled())
        assert (await place.fleet.capacity())["a"].trouble == before is not None

    play(scene, starved=STARVED)


def test_counts_that_cannot_be_had_are_not_guessed() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing["describe_auto_scaling_groups"].append(throttled())
        with pytest.raises(Unavailable, match="Rate exceeded"):
            await place.fleet.capacity()

    play(scene)


def test_a_throttled_resize_waits_for_the_next_step() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing["set_desired_capacity"].append(throttled())
        await place.fleet.resize("a", 2)
        assert place.desired == 0
        await place.fleet.resize("a", 2)
        assert place.desired == 2

    play(scene)


def test_a_group_that_is_not_there_is_named_with_the_next_step() -> None:
    async def scene(place: Place) -> None:
        place.aws.groups.pop("f-b")
        with pytest.raises(Unavailable, match=r"no Auto Scaling group f-b in us-east-1.*deploy"):
            await place.fleet.capacity()

    play(scene, "a", "b")


def test_missing_rights_are_told() -> None:
    async def scene(place: Place) -> None:
        place.aws.failing["set_desired_capacity"].append(denied())
        with pytest.raises(AwsError, match=r"is not authorized.*doctor"):
            await place.fleet.resize("a", 2)

    play(scene)


def test_a_replaced_machine_makes_room_for_another_and_the_count_stays() -> None:
    async def scene(place: Place) -> None:
        member = place.aws.running("f-a")
        await place.fleet.replace("a", member.id)
        await asyncio.sleep(100)
        found = (await place.fleet.capacity())["a"]
        assert (found.desired, found.running) == (1, 1)
        assert member.id not in [each.id for each in found.instances if not each.leaving]

    play(scene)


def test_a_machine_that_is_gone_need_not_be_replaced() -> None:
    async def scene(place: Place) -> None:
        await place.fleet.replace("a", "i-0")
        assert place.aws.called("set_instance_health") == []

    play(scene)


def test_a_machine_that_may_not_be_terminated_is_reported_unhealthy() -> None:
    async def scene(place: Place) -> None:
        member = place.aws.running("f-a")
        place.aws.failing["terminate_instance_in_auto_scaling_group"].append(denied())
        await place.fleet.replace("a", member.id)
        assert not member.healthy

    play(scene)


def test_many_environments_take_few_requests() -> None:
    names = [f"e{number}" for number in range(120)]

    async def scene(place: Place) -> None:
        assert len(await place.fleet.capacity()) == 120
        assert len(place.aws.calls) == 3

    play(scene, *names)
