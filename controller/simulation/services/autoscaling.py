"""Auto Scaling groups as documented, behind the `Aws` port, in the event loop's time.

Emulated: desired, minimum and maximum capacity; launches that take `boot` seconds or fail for lack of capacity, with
their activities, and are tried again; scale-in protection; a termination hook with its heartbeats and its end;
terminate with and without decrement; replacement of unhealthy instances; scale-in when less is desired than there is,
of instances in service that are not protected; rebalancing, which launches an instance before it ends another, though
not the zones between which it does; the errors of each. Not emulated: cooldown, weights, warm pools.

Of protected instances a group that wants less ends none, and it may be long until it tries again: nothing is said of
when, and hours were seen.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from controller.simulation.clock import EPOCH, outside
from controller.simulation.services.autoscaling_group import Group as Group
from controller.simulation.services.autoscaling_group import Member as Member
from controller.simulation.services.autoscaling_group import described
from controller.simulation.services.service import Simulated, refused
from runner.aws import Reply

# Until an instance that is gone is found out, in seconds.
NOTICED = 30.0
GOING = 3.0  # seconds between Terminating and what follows
# Seconds until it is tried again to end one of instances that were all protected.
RECONSIDER = 3600.0


Watch = Callable[[Group, Member], None]
Wants = Callable[[Group, int], None]


class SimulatedAutoScaling(Simulated):
    """`watch` is told whenever a member's state has changed: `Pending` at its launch, `Terminated` in the end. `wants`
    is told of a group whose desired capacity has changed, and what it was."""

    service = "autoscaling"

    def __init__(
        self,
        *groups: Group,
        watch: Watch = lambda _group, _member: None,
        wants: Wants = lambda _group, _before: None,
    ) -> None:
        super().__init__()
        self.groups = {group.name: group for group in groups}
        self._watch = watch
        self._wants = wants
        self._numbers = count(1)

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
        self._want(found, found.desired - 1)
        self._go(found, found.members[instance])

    def rebalance(self, group: str) -> None:
        """As the service does when zones are out of balance, unless that is suspended: one more comes, and then one
        that is not protected goes."""
        found = self.groups[group]
        found.rebalancing += 1
        self.settle(found)

    def lose(self, instance: str) -> None:
        """It ended by itself, or EC2 took it. A health check finds out."""
        for group in self.groups.values():
            if instance in group.members:
                member = group.members[instance]
                member.healthy = False
                self._after(NOTICED, self._go, group, member)

    def settle(self, group: Group) -> None:
        """What the group does by itself: launch what is missing, end what is too much."""
        staying = group.staying
        if len(staying) > group.wanted:
            self._shrink(group)
        for _ in range(group.wanted - len(staying)):
            if problem := group.problem:
                self._note(group, "Launching a new EC2 instance.", "Failed", problem)
                self._again(group, group.relaunch)
                return
            self._start(group)

    def _shrink(self, group: Group) -> None:
        unprotected = [each for each in group.staying if each.state == "InService" and not each.protected]
        if unprotected:
            self._go(group, unprotected[0])  # which settles what is left
        elif all(each.state == "InService" for each in group.staying):
            problem = "Could not scale to desired capacity because all remaining instances are protected."
            self._note(group, "Terminating EC2 instance.", "Failed", problem)
            self._again(group, RECONSIDER)

    def _start(self, group: Group) -> None:
        member = Member(f"i-{next(self._numbers):08x}")
        group.members[member.id] = member
        self._note(group, f"Launching a new EC2 instance: {member.id}", "Successful")
        self._watch(group, member)
        self._after(group.boot, self._come, group, member)

    def _again(self, group: Group, seconds: float) -> None:
        """Only one such look lies ahead, the nearest."""
        at = asyncio.get_running_loop().time() + seconds
        if at < group.settles_at:
            group.settles_at = at
            self._after(seconds, self._settle_again, group, at)

    def _settle_again(self, group: Group, at: float) -> None:
        if group.settles_at == at:
            group.settles_at = math.inf
            self.settle(group)

    def _want(self, group: Group, desired: int) -> None:
        before, group.desired = group.desired, desired
        if before != desired:
            self._wants(group, before)

    def _come(self, group: Group, member: Member) -> None:
        if member.state == "Pending":
            self._turn(group, member, "InService")
            group.rebalancing = max(0, group.rebalancing - 1)
            self.settle(group)

    def _turn(self, group: Group, member: Member, state: str) -> None:
        member.state = state
        self._watch(group, member)

    def _note(self, group: Group, description: str, status: str, message: str = "") -> None:
        at = datetime.fromtimestamp(EPOCH + asyncio.get_running_loop().time(), UTC)
        activity = {"Description": description, "StatusCode": status, "StartTime": at, "EndTime": at}
        group.activities.insert(0, {**activity, "StatusMessage": message} if message else activity)

    def _describe_auto_scaling_instances(self, InstanceIds: list[str]) -> Reply:
        found = [
            {"AutoScalingGroupName": group.name, **described(member)}
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
                    "Instances": [described(member) for member in group.members.values()],
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
        self._want(group, DesiredCapacity)
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
            self._want(group, group.desired - 1)
        self._go(group, member)

    def _set_instance_health(
        self, InstanceId: str, HealthStatus: str, ShouldRespectGracePeriod: bool
    ) -> None:
        group, member = self._find(InstanceId)
        member.healthy = HealthStatus == "Healthy"
        if not member.healthy:
            self._after(GOING, self._go, group, member)

    def _record_lifecycle_action_heartbeat(
        self, AutoScalingGroupName: str, LifecycleHookName: str, InstanceId: str
    ) -> None:
        member = self._held(AutoScalingGroupName, LifecycleHookName, InstanceId)
        member.heartbeats += 1
        self._hold(self.groups[AutoScalingGroupName], member)

    def _complete_lifecycle_action(
        self, AutoScalingGroupName: str, LifecycleHookName: str, InstanceId: str, LifecycleActionResult: str
    ) -> None:
        member = self._held(AutoScalingGroupName, LifecycleHookName, InstanceId)
        self._proceed(self.groups[AutoScalingGroupName], member)

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
        if member.state.startswith("Terminat"):
            return
        member.shown, member.shown_until = member.state, asyncio.get_running_loop().time() + group.lag
        self._turn(group, member, "Terminating")
        self._after(GOING, self._wait if group.hook else self._gone, group, member)
        self.settle(group)

    def _wait(self, group: Group, member: Member) -> None:
        member.ends_by = asyncio.get_running_loop().time() + 100 * group.heartbeat
        self._turn(group, member, "Terminating:Wait")
        self._hold(group, member)

    def _hold(self, group: Group, member: Member) -> None:
        """Until the hook gives up waiting for a sign of life."""
        member.held_until = min(asyncio.get_running_loop().time() + group.heartbeat, member.ends_by)
        self._after(
            member.held_until - asyncio.get_running_loop().time(),
            self._give_up,
            group,
            member,
            member.held_until,
        )

    def _give_up(self, group: Group, member: Member, held_until: float) -> None:
        if member.state == "Terminating:Wait" and member.held_until <= held_until:
            self._proceed(group, member)

    def _proceed(self, group: Group, member: Member) -> None:
        self._turn(group, member, "Terminating:Proceed")
        self._after(GOING, self._gone, group, member)

    def _gone(self, group: Group, member: Member) -> None:
        group.members.pop(member.id, None)
        self._turn(group, member, "Terminated")

    def _after(self, seconds: float, act: Callable[..., None], *args: Any) -> None:
        """Whoever asked for it may be gone by then."""
        outside(asyncio.get_running_loop().call_later, seconds, act, *args)
