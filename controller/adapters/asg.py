"""A fleet of EC2 instances: one Auto Scaling group per compute environment.

Only ever asks for more. Instances leave by themselves, each with its own decrement, so that nobody else's idea of the
desired capacity can end one that works. What was asked for in vain is taken back, down to what there is: else it would
be launched whenever there is capacity again, long after the last task. Every time what there is is asked anew: nothing
here outlives a restart.

Needs: autoscaling:DescribeAutoScalingGroups, DescribeScalingActivities, SetDesiredCapacity,
TerminateInstanceInAutoScalingGroup, SetInstanceHealth.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from controller.adapters import asg_activities
from controller.model import EnvironmentCapacity, Instance, Trouble
from controller.scaling import retry_at
from runner.aws import Aws, AwsError, Reply
from runner.aws import Trouble as CallTrouble
from runner.errors import Unavailable
from runner.ports import Clock
from runner.settings import FleetSettings

log = structlog.get_logger()

SERVICE = "autoscaling"
# As many names as one request may hold.
NAMES = 50
PASSING = frozenset({"ScalingActivityInProgress", "ResourceContention"})


class AsgFleet:
    """Implements `controller.ports.Fleet`."""

    def __init__(self, aws: Aws, settings: FleetSettings, now: Clock = time.time) -> None:
        self._aws = aws
        self._settings = settings
        self._now = now
        self._desired: dict[str, int] = {}
        self._troubles: dict[str, Trouble | None] = {}

    @property
    def trouble(self) -> str:
        found = {name: trouble for name, trouble in self._troubles.items() if trouble is not None}
        return "; ".join(f"{name}: {trouble.reason}" for name, trouble in found.items())

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        found = {name: _capacity(name, group) for name, group in (await self._groups()).items()}
        self._desired = {name: capacity.desired for name, capacity in found.items()}
        return {name: await self._with_activities(capacity) for name, capacity in found.items()}

    async def resize(self, environment: str, desired: int) -> None:
        before = self._desired.get(environment, -1)
        if desired == before or (desired < before and self._troubles.get(environment) is None):
            return
        # Asked anew: since the last look an instance may have come or left, or somebody set it by hand.
        group = (await self._groups(environment))[environment]
        now = _capacity(environment, group)
        if desired > before and now.desired < (wanted := min(desired, now.maximum)):
            await self._set(environment, wanted)
        elif desired < before and now.desired > (wanted := max(desired, now.minimum, _staying(group))):
            log.info("taking back what was asked for in vain", environment=environment, desired=wanted)
            await self._set(environment, wanted)

    async def _set(self, environment: str, desired: int) -> None:
        try:
            await self._call(
                "set_desired_capacity",
                AutoScalingGroupName=self._settings.group(environment),
                DesiredCapacity=desired,
                HonorCooldown=False,
            )
        except AwsError as error:
            if not _passes(error):
                raise
            log.warning("not resized this time", environment=environment, error=str(error))

    async def replace(self, environment: str, instance: str) -> None:
        log.warning("replacing an instance", environment=environment, instance=instance)
        try:
            await self._call(
                "terminate_instance_in_auto_scaling_group",
                InstanceId=instance,
                ShouldDecrementDesiredCapacity=False,
            )
        except AwsError as error:
            if _passes(error) or _gone(error):
                log.warning("not replaced this time", instance=instance, error=str(error))
            else:
                await self._report_unhealthy(instance)

    async def stop(self) -> None:
        """Instances go on without this process, and leave when there is nothing to do."""

    async def _report_unhealthy(self, instance: str) -> None:
        await self._call(
            "set_instance_health",
            InstanceId=instance,
            HealthStatus="Unhealthy",
            ShouldRespectGracePeriod=False,
        )

    async def _groups(self, *environments: str) -> Mapping[str, Reply]:
        """By environment. Raises Unavailable if one of them has no group."""
        wanted = {self._settings.group(name): name for name in environments or self._settings.environments}
        found: dict[str, Reply] = {}
        names = list(wanted)
        for start in range(0, len(names), NAMES):
            for group in await self._described(names[start : start + NAMES]):
                found[wanted[str(group["AutoScalingGroupName"])]] = group
        if missing := [name for name, environment in wanted.items() if environment not in found]:
            message = (
                f"there is no Auto Scaling group {', '.join(missing)} in {self._settings.region}: "
                f"`runner-controller deploy` makes it; is the region right?"
            )
            raise Unavailable(message)
        return found

    async def _described(self, names: Sequence[str]) -> Sequence[Reply]:
        groups: list[Reply] = []
        page: dict[str, Any] = {}
        while True:
            reply = await self._call(
                "describe_auto_scaling_groups", AutoScalingGroupNames=names, MaxRecords=100, **page
            )
            groups += reply.get("AutoScalingGroups") or ()
            if not reply.get("NextToken"):
                return groups
            page = {"NextToken": reply["NextToken"]}

    async def _with_activities(self, capacity: EnvironmentCapacity) -> EnvironmentCapacity:
        """What only the group's activities tell: why instances did not come.

        Asking for them costs a request, so only when they have something to say. Trouble is not over because nothing
        is asked for any more; nobody would know of it when it is asked again.
        """
        known = self._troubles.get(capacity.name)
        if capacity.desired > capacity.running or (known is not None and self._now() < retry_at(known)):
            await self._read_activities(capacity)
        else:
            self._troubles[capacity.name] = None
        return replace(capacity, trouble=self._troubles.get(capacity.name))

    async def _read_activities(self, capacity: EnvironmentCapacity) -> None:
        group = self._settings.group(capacity.name)
        try:
            reply = await self._call(
                "describe_scaling_activities", AutoScalingGroupName=group, MaxRecords=100
            )
        except AwsError as error:
            if not _passes(error):
                raise
            log.warning("cannot read scaling activities", group=group, error=str(error))
            return  # what was known of troubles stands
        self._troubles[capacity.name] = asg_activities.trouble(reply.get("Activities") or ())

    async def _call(self, operation: str, **parameters: Any) -> Reply:
        return await self._aws.call(SERVICE, operation, **parameters)


def _capacity(name: str, group: Reply) -> EnvironmentCapacity:
    members: Sequence[Reply] = group.get("Instances") or ()
    instances = [_instance(each) for each in members]
    return EnvironmentCapacity(
        name=name,
        desired=int(group["DesiredCapacity"]),
        running=sum(1 for each in instances if each.in_service and not each.leaving),
        pending=sum(1 for each in instances if not each.in_service and not each.leaving),
        minimum=int(group["MinSize"]),
        maximum=int(group["MaxSize"]),
        instances=instances,
    )


def _staying(group: Reply) -> int:
    """Whom a lower desired capacity would end. Those that terminate are not counted in it any more."""
    states = [str(each.get("LifecycleState", "")) for each in group.get("Instances") or ()]
    return sum(1 for state in states if state == "InService" or state.startswith("Pending"))


def _instance(member: Reply) -> Instance:
    state = str(member.get("LifecycleState", ""))
    starting = state.startswith("Pending")
    healthy = str(member.get("HealthStatus", "")).lower() != "unhealthy"
    return Instance(
        id=str(member["InstanceId"]),
        in_service=state == "InService",
        # Unhealthy ones are about to be replaced; in standby or detached they serve nobody.
        leaving=not (starting or state == "InService") or not healthy,
    )


def _passes(error: AwsError) -> bool:
    """By itself: the next step sees what is and asks again."""
    return error.trouble is CallTrouble.THROTTLED or error.code in PASSING


def _gone(error: AwsError) -> bool:
    return error.code == "ValidationError" and "not found" in str(error).lower()
