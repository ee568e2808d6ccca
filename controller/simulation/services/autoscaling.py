"""Auto Scaling groups as documented, behind the `Aws` port, in the event loop's time.

Emulated: desired, minimum and maximum capacity; launches that take `boot` seconds or fail for lack of capacity, with
their activities; scale-in protection; a termination hook; terminate with and without decrement; replacement of
unhealthy instances; the errors of each. Not emulated: zones, rebalancing, cooldown, weights, warm pools, scale-in by
policy.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from controller.simulation.clock import EPOCH
from controller.simulation.services.service import Simulated, refused
from runner.aws import Reply

GOING = 3.0  # seconds between Terminating and what follows


@dataclass
class Member:
    id: str
    state: str = "Pending"
    protected: bool = True
    healthy: bool = True
    heartbeats: int = 0
    shown: str = ""
    shown_until: float = 0.0


@dataclass
class Group:
    name: str
    desired: int = 0
    minimum: int = 0
    maximum: int = 10
    boot: float = 60.0
    lag: float = 0.0  # seconds until what was asked for shows
    hook: bool = True
    heartbeat: int = 300
    starved: str = ""  # why launches fail
    members: dict[str, Member] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)


class SimulatedAutoScaling(Simulated):
    service = "autoscaling"

    def __init__(self, *groups: Group) -> None:
        super().__init__()
        self.groups = {group.name: group for group in groups}
        self._numbers = count(1)
        self._later: set[asyncio.Task[None]] = set()

    def running(self, group: str) -> Member:
        """One more instance in service, that the group wanted."""
        found = self.groups[group]
        member = Member(f"i-{next(self._numbers):08x}", "InService")
        found.members[member.id] = member
        found.desired = max(found.desired, len(found.members))
        return member

    def scale_in(self, group: str, instance: str) -> None:
        """As a person or a policy does: protection is not asked, as it is not for an unhealthy instance."""
        found = self.groups[group]
        found.desired -= 1
        self._go(found, found.members[instance])

    def settle(self, group: Group) -> None:
        """What the group does by itself: launch what is missing."""
        staying = [each for each in group.members.values() if not each.state.startswith("Terminat")]
        for _ in range(group.desired - len(staying)):
            if group.starved:
                self._note(group, "Launching a new EC2 instance.", "Failed", group.starved)
                return
            member = Member(f"i-{next(self._numbers):08x}")
            group.members[member.id] = member
            self._note(group, f"Launching a new EC2 instance: {member.id}", "Successful")
            self._after(group.boot, lambda member=member: setattr(member, "state", "InService"))

    def _note(self, group: Group, description: str, status: str, message: str = "") -> None:
        at = datetime.fromtimestamp(EPOCH + asyncio.get_running_loop().time(), UTC)
        activity = {"Description": description, "StatusCode": status, "StartTime": at, "EndTime": at}
        group.activities.insert(0, {**activity, "StatusMessage": message} if message else activity)

    def _describe_auto_scaling_instances(self, InstanceIds: list[str]) -> Reply:
        found = [
            {"AutoScalingGroupName": group.name, **_described(member)}
            for group in self.groups.values()
            for member in group.members.values()
            if member.id in InstanceIds
        ]
        return {"AutoScalingInstances": found}

    def _describe_auto_scaling_groups(self, AutoScalingGroupNames: list[str], **_page: object) -> Reply:
        return {
            "AutoScalingGroups": [
                {
                    "AutoScalingGroupName": group.name,
                    "DesiredCapacity": group.desired,
                    "MinSize": group.minimum,
                    "MaxSize": group.maximum,
                    "Instances": [_described(member) for member in group.members.values()],
                }
                for group in self.groups.values()
                if group.name in AutoScalingGroupNames
            ]
        }

    def _describe_scaling_activities(self, AutoScalingGroupName: str, MaxRecords: int) -> Reply:
        return {"Activities": self.groups[AutoScalingGroupName].activities[:MaxRecords]}

    def _describe_lifecycle_hooks(self, AutoScalingGroupName: str) -> Reply:
        group = self.groups[AutoScalingGroupName]
        hook = {
            "LifecycleHookName": "drain",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "HeartbeatTimeout": group.heartbeat,
            "GlobalTimeout": 100 * group.heartbeat,
        }
        other = {"LifecycleHookName": "boot", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}
        return {"LifecycleHooks": [other, hook] if group.hook else []}

    def _set_desired_capacity(
        self, AutoScalingGroupName: str, DesiredCapacity: int, HonorCooldown: bool
    ) -> None:
        group = self.groups[AutoScalingGroupName]
        if not group.minimum <= DesiredCapacity <= group.maximum:
            raise refused(
                "ValidationError", f"New SetDesiredCapacity value {DesiredCapacity} is out of bounds"
            )
        group.desired = DesiredCapacity
        self.settle(group)

    def _set_instance_protection(
        self, AutoScalingGroupName: str, InstanceIds: list[str], ProtectedFromScaleIn: bool
    ) -> None:
        for instance in InstanceIds:
            member = self.groups[AutoScalingGroupName].members[instance]
            if member.state != "InService":
                raise refused(
                    "ValidationError", f"The instance {instance} is not in InService or EnteringStandby"
                )
            member.protected = ProtectedFromScaleIn

    def _terminate_instance_in_auto_scaling_group(
        self, InstanceId: str, ShouldDecrementDesiredCapacity: bool
    ) -> None:
        group, member = self._find(InstanceId)
        if ShouldDecrementDesiredCapacity:
            if group.desired == group.minimum:
                problem = (
                    f"Currently, desiredSize equals minSize ({group.minimum}). Terminating instance without "
                    f"replacement will violate group's min size constraint."
                )
                raise refused("ValidationError", problem)
            group.desired -= 1
        self._go(group, member)

    def _set_instance_health(
        self, InstanceId: str, HealthStatus: str, ShouldRespectGracePeriod: bool
    ) -> None:
        group, member = self._find(InstanceId)
        member.healthy = HealthStatus == "Healthy"
        if not member.healthy:
            self._after(GOING, lambda: self._go(group, member))

    def _record_lifecycle_action_heartbeat(
        self, AutoScalingGroupName: str, LifecycleHookName: str, InstanceId: str
    ) -> None:
        self._held(AutoScalingGroupName, LifecycleHookName, InstanceId).heartbeats += 1

    def _complete_lifecycle_action(
        self, AutoScalingGroupName: str, LifecycleHookName: str, InstanceId: str, LifecycleActionResult: str
    ) -> None:
        member = self._held(AutoScalingGroupName, LifecycleHookName, InstanceId)
        member.state = "Terminating:Proceed"
        self._after(GOING, lambda: self._gone(self.groups[AutoScalingGroupName], member))

    def _held(self, group: str, hook: str, instance: str) -> Member:
        member = self.groups[group].members.get(instance)
        if hook != "drain" or member is None or member.state != "Terminating:Wait":
            raise refused("ValidationError", f"No active Lifecycle Action found with instance ID {instance}")
        return member

    def _find(self, instance: str) -> tuple[Group, Member]:
        for group in self.groups.values():
            if instance in group.members:
                return group, group.members[instance]
        raise refused("ValidationError", f"Instance Id not found - No managed instance found for {instance}")

    def _go(self, group: Group, member: Member) -> None:
        member.shown, member.shown_until = member.state, asyncio.get_running_loop().time() + group.lag
        member.state = "Terminating"
        if group.hook:
            self._after(GOING, lambda: setattr(member, "state", "Terminating:Wait"))
        else:
            self._after(GOING, lambda: self._gone(group, member))
        self.settle(group)

    def _gone(self, group: Group, member: Member) -> None:
        group.members.pop(member.id, None)

    def _after(self, seconds: float, act: Any) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            act()

        task = asyncio.get_running_loop().create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)


def _described(member: Member) -> dict[str, Any]:
    late = asyncio.get_running_loop().time() < member.shown_until
    return {
        "InstanceId": member.id,
        "LifecycleState": member.shown if late else member.state,
        "HealthStatus": "Healthy" if member.healthy else "Unhealthy",
        "ProtectedFromScaleIn": member.protected,
    }
