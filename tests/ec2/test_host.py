"""What an EC2 instance makes of its metadata and its group, in virtual time.

Emulated: the metadata service, by what it answers; Auto Scaling
(`controller.simulation.services.autoscaling`); the machine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from controller.simulation.clock import now, run
from controller.simulation.services.autoscaling import Group, Member, SimulatedAutoScaling
from controller.simulation.services.service import throttled
from runner.adapters.ec2.host import Ec2Host
from runner.adapters.ec2.metadata import Answer, Identity, NoMetadata
from runner.adapters.ec2.tenure import LASTING, LAZY, PAUSE
from runner.ports import Capacity, Notice

SPOT = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"
LIFECYCLE = "autoscaling/target-lifecycle-state"
RECOMMENDED = '{"noticeTime": "2023-11-14T22:13:20Z"}'


class Told:
    """The metadata service. `skew`: how far this instance's clock is ahead of the service's, in seconds."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {LIFECYCLE: "InService"}
        self.asked = 0
        self.down = False
        self.dated = True
        self.skew = 0.0

    async def get(self, path: str) -> Answer | None:
        self.asked += 1
        if self.down:
            raise NoMetadata("no answer")
        text = self.values.get(path)
        return None if text is None else Answer(text, now() - self.skew if self.dated else None)

    def reclaim(self, seconds: float) -> None:
        at = datetime.fromtimestamp(now() - self.skew + seconds, UTC)
        self.values[SPOT] = json.dumps({"action": "terminate", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")})


class Box:
    def capacity(self) -> Capacity:
        return Capacity(2.0, 8 * 1024**3)

    async def health(self) -> str:
        return "disk low"


class Place:
    """One instance in service, in a group, and its host."""

    def __init__(self, **group: object) -> None:
        self.group = Group("fleet-spot", **group)  # type: ignore[arg-type]
        self.aws = SimulatedAutoScaling(self.group)
        self.member: Member = self.aws.running("fleet-spot")
        self.told = Told()
        self.reclaimed = 0
        self.host = Ec2Host(
            Identity(self.member.id, "m7i.large"), Box(), self.told, self.aws, now, self._reclaim
        )

    async def _reclaim(self) -> None:
        self.reclaimed += 1

    async def live(self, seconds: float, busy: bool = True) -> Notice | None:
        """As an agent does: every second."""
        for _ in range(int(seconds)):
            await self.host.notice()
            await self.host.protect(busy)
            await asyncio.sleep(1)
        return await self.host.notice()


Scene = Callable[[Place], Awaitable[None]]


def play(scene: Scene, **group: object) -> None:
    async def main() -> None:
        await scene(Place(**group))

    run(main())


def test_it_is_named_after_the_instance_and_knows_its_type() -> None:
    async def scene(place: Place) -> None:
        assert (place.host.name, place.host.machine_type) == (place.member.id, "m7i.large")

    play(scene)


def test_size_and_health_are_the_machines() -> None:
    async def scene(place: Place) -> None:
        assert place.host.capacity().vcpus == 2.0
        assert await place.host.health() == "disk low"

    play(scene)


def test_mending_reclaims_disk() -> None:
    async def scene(place: Place) -> None:
        await place.host.mend()
        assert place.reclaimed == 1

    play(scene)


def test_without_a_sign_there_is_no_notice() -> None:
    async def scene(place: Place) -> None:
        assert await place.live(30) is None

    play(scene)


def test_a_spot_notice_is_seen_within_five_seconds() -> None:
    async def scene(place: Place) -> None:
        await place.live(10)
        place.told.reclaim(120)
        assert await place.live(4) is not None

    play(scene)


def test_the_metadata_is_not_asked_every_second() -> None:
    async def scene(place: Place) -> None:
        await place.live(60)
        assert place.told.asked <= 3 * 31

    play(scene)


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0])
def test_a_notice_holds_by_this_instances_clock_however_wrong_that_is(skew: float) -> None:
    async def scene(place: Place) -> None:
        place.told.skew = skew
        place.told.reclaim(90)
        notice = await place.host.notice()
        assert notice is not None
        assert notice.at == pytest.approx(now() + 90, abs=1)

    play(scene)


def test_where_the_service_does_not_tell_its_time_no_more_than_two_minutes_are_believed() -> None:
    async def scene(place: Place) -> None:
        place.told.skew, place.told.dated = -300.0, False
        place.told.reclaim(90)
        notice = await place.host.notice()
        assert notice is not None
        assert notice.at == now() + 120

    play(scene)


def test_a_spot_notice_that_was_seen_stays_as_it_is() -> None:
    async def scene(place: Place) -> None:
        place.told.reclaim(100)
        first = await place.host.notice()
        place.told.values.pop(SPOT)
        place.told.down = True
        assert await place.live(20) == first

    play(scene)


def test_a_rebalance_recommendation_is_a_notice_without_a_time() -> None:
    async def scene(place: Place) -> None:
        place.told.values[REBALANCE] = RECOMMENDED
        notice = await place.host.notice()
        assert notice is not None
        assert notice.at is None

    play(scene)


def test_a_reclaim_goes_before_a_recommendation() -> None:
    async def scene(place: Place) -> None:
        place.told.values[REBALANCE] = RECOMMENDED
        place.told.reclaim(120)
        notice = await place.host.notice()
        assert notice is not None
        assert notice.at is not None

    play(scene)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (SPOT, "not json"),
        (SPOT, '{"action": "dance", "time": "2023-11-14T22:15:00Z"}'),
        (SPOT, '{"action": "terminate"}'),
        (REBALANCE, "<html>"),
        (LIFECYCLE, "Warmed:Terminated"),
    ],
)
def test_what_cannot_be_read_is_no_notice(path: str, text: str) -> None:
    async def scene(place: Place) -> None:
        place.told.values[path] = text
        assert await place.live(10) is None

    play(scene)


def test_a_service_that_is_down_is_no_notice_and_is_told_once() -> None:
    async def scene(place: Place) -> None:
        place.told.down = True
        with capture_logs() as logs:
            assert await place.live(60) is None
        assert len([entry for entry in logs if entry.get("path") == SPOT]) == 1

    play(scene)


def test_the_same_trouble_after_a_recovery_is_told_again() -> None:
    async def scene(place: Place) -> None:
        with capture_logs() as logs:
            for down in (True, False, True):
                place.told.down = down
                await place.live(5)
        assert len([entry for entry in logs if entry.get("path") == SPOT]) == 2

    play(scene)


def test_an_instance_its_group_ends_has_as_long_as_the_hook_lets_it() -> None:
    async def scene(place: Place) -> None:
        seen_at = now()
        place.aws.scale_in("fleet-spot", place.member.id)
        place.told.values[LIFECYCLE] = "Terminated"
        notice = await place.live(10)
        assert notice is not None
        assert notice.at == pytest.approx(seen_at + 100 * 300, abs=3)

    play(scene)


def test_an_instance_its_group_ends_without_a_hook_has_no_time() -> None:
    async def scene(place: Place) -> None:
        place.told.values[LIFECYCLE] = "Terminated"
        notice = await place.live(10)
        assert notice is not None
        assert notice.at is not None
        assert notice.at <= now()

    play(scene, hook=False)


def test_a_hook_that_waits_for_a_busy_instance_gets_its_heartbeats() -> None:
    async def scene(place: Place) -> None:
        place.aws.scale_in("fleet-spot", place.member.id)
        place.told.values[LIFECYCLE] = "Terminated"
        await place.live(3000)
        assert place.member.heartbeats >= 3000 / 300
        assert place.member.heartbeats <= 3000 / 100

    play(scene)


def test_an_instance_that_is_in_no_group_any_more_is_not_looked_up_all_the_time() -> None:
    async def scene(place: Place) -> None:
        place.told.values[LIFECYCLE] = "Terminated"
        place.group.members.clear()
        await place.live(300)
        assert len(place.aws.called("describe_auto_scaling_instances")) <= 11

    play(scene)


def test_a_busy_instance_is_protected_at_once() -> None:
    async def scene(place: Place) -> None:
        place.member.protected = False
        await place.live(1)
        assert place.member.protected

    play(scene)


def test_an_idle_instance_loses_its_protection_only_after_a_while() -> None:
    async def scene(place: Place) -> None:
        await place.live(10, busy=True)
        await place.live(50, busy=False)
        assert place.member.protected
        await place.live(20, busy=False)
        assert not place.member.protected

    play(scene)


def test_protection_is_asked_for_on_changes_only() -> None:
    async def scene(place: Place) -> None:
        for _ in range(100):
            await place.live(5, busy=True)
            await place.live(5, busy=False)
        assert place.aws.called("set_instance_protection") == []
        assert len(place.aws.calls) == 1

    play(scene)


def test_protection_that_fails_is_asked_for_again_later() -> None:
    async def scene(place: Place) -> None:
        place.member.protected = False
        place.aws.failing["set_instance_protection"].extend([throttled(), throttled()])
        await place.live(120)
        assert place.member.protected
        assert len(place.aws.called("set_instance_protection")) == 3

    play(scene)


def test_an_instance_is_spared_while_its_group_wants_more_than_the_minimum() -> None:
    async def scene(place: Place) -> None:
        place.group.desired = 3
        assert await place.host.spared()

    play(scene, minimum=2)


def test_an_instance_is_not_spared_at_the_minimum() -> None:
    async def scene(place: Place) -> None:
        assert not await place.host.spared()

    play(scene, minimum=1)


async def idle(place: Place, seconds: float) -> bool:
    """For so long; whether it is spared in the end."""
    for _ in range(int(seconds)):
        await place.live(1, busy=False)
        spared = await place.host.spared()
    return spared


def beside(place: Place, *, protected: bool) -> Member:
    """Another in the same group, which wants one all the same."""
    other = place.aws.running("fleet-spot")
    place.group.desired, other.protected = 1, protected
    return other


def test_at_the_minimum_an_instance_is_spared_once_it_is_long_one_more_than_its_group_wants() -> None:
    async def scene(place: Place) -> None:
        beside(place, protected=True)
        assert not await idle(place, LAZY + LASTING - PAUSE)
        assert await idle(place, 3 * PAUSE)

    play(scene, minimum=1)


def test_of_two_idle_ones_of_which_the_group_wants_one_only_one_is_spared() -> None:
    async def scene(place: Place) -> None:
        other = beside(place, protected=False)
        host = Ec2Host(Identity(other.id, "m7i.large"), Box(), Told(), place.aws, now)
        found = set()
        for _ in range(1000):
            await place.live(1, busy=False)
            found.add((await place.host.spared(), await host.spared()))
        assert found == {(False, False), (True, False)}

    play(scene, minimum=1)


def test_an_instance_that_is_on_its_way_out_makes_no_other_one_too_many() -> None:
    async def scene(place: Place) -> None:
        other = beside(place, protected=True)
        other.state = "Terminating:Wait"
        assert not await idle(place, 1000)

    play(scene, minimum=1)


def test_an_instance_that_is_soon_gone_makes_no_other_one_too_many() -> None:
    async def scene(place: Place) -> None:
        other = beside(place, protected=True)
        assert not await idle(place, LAZY + LASTING - PAUSE)
        other.state = "Terminating"
        assert not await idle(place, 1000)

    play(scene, minimum=1)


def test_whether_it_is_spared_is_not_asked_all_the_time() -> None:
    async def scene(place: Place) -> None:
        for _ in range(300):
            await place.host.spared()
            await asyncio.sleep(1)
        assert len(place.aws.called("describe_auto_scaling_groups")) <= 11

    play(scene, minimum=1)


def test_retiring_takes_it_out_of_the_group() -> None:
    async def scene(place: Place) -> None:
        await place.host.retire()
        await asyncio.sleep(10)
        assert (place.group.desired, place.group.members) == (0, {})

    play(scene)
