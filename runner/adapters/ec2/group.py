"""This instance's place in its Auto Scaling group, in the words of the Auto Scaling API. All raise AwsError.

Needs: autoscaling:DescribeAutoScalingInstances, DescribeAutoScalingGroups, DescribeLifecycleHooks,
SetInstanceProtection, RecordLifecycleActionHeartbeat, CompleteLifecycleAction, TerminateInstanceInAutoScalingGroup,
SetInstanceHealth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.aws import Aws, Reply

SERVICE = "autoscaling"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

# As the service counts where a hook does not say: 100 heartbeats' time, and two days at most.
DEFAULT_HEARTBEAT = 3600.0
HEARTBEATS = 100
LONGEST_WAIT = 48 * 3600.0


@dataclass(frozen=True, slots=True)
class Membership:
    """`state` is the instance's lifecycle state: `InService`, `Terminating:Wait` …"""

    group: str
    state: str
    protected: bool

    @property
    def leaving(self) -> bool:
        return self.state.startswith("Terminat")

    @property
    def held(self) -> bool:
        """A lifecycle hook waits for us to say that we are done."""
        return self.state == "Terminating:Wait"


@dataclass(frozen=True, slots=True)
class Hook:
    """One that holds an instance's termination up. `heartbeat`: seconds it waits for a sign; `longest`: in all."""

    name: str
    heartbeat: float
    longest: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What a group wants and has. `in_service`: healthy instances; of these nothing protects the `unprotected` from
    scale-in."""

    desired: int
    minimum: int
    in_service: int
    unprotected: Sequence[str]

    @property
    def above_minimum(self) -> bool:
        return self.desired > self.minimum

    def can_spare(self, instance: str) -> bool:
        """Whether the group has more than it wants, and the instance is among those whose turn it is to go: if all
        that see it went at once, too few would stay, and the group would replace them."""
        surplus = max(0, self.in_service - self.desired)
        return instance in sorted(self.unprotected)[:surplus]


class OwnGroup:
    def __init__(self, aws: Aws, instance_id: str) -> None:
        self._aws = aws
        self.instance_id = instance_id

    async def membership(self) -> Membership | None:
        """None: it belongs to no group, or not any more."""
        reply = await self._call("describe_auto_scaling_instances", InstanceIds=[self.instance_id])
        found: Sequence[Reply] = reply.get("AutoScalingInstances") or ()
        for each in found:
            if each.get("InstanceId") == self.instance_id:
                return Membership(
                    group=str(each["AutoScalingGroupName"]),
                    state=str(each.get("LifecycleState", "")),
                    protected=bool(each.get("ProtectedFromScaleIn")),
                )
        return None

    async def shape(self, group: str) -> Shape | None:
        """None: there is no such group."""
        reply = await self._call("describe_auto_scaling_groups", AutoScalingGroupNames=[group])
        found: Sequence[Reply] = reply.get("AutoScalingGroups") or ()
        return next((_shape(each) for each in found), None)

    async def protect(self, group: str, protected: bool) -> None:
        await self._call(
            "set_instance_protection",
            AutoScalingGroupName=group,
            InstanceIds=[self.instance_id],
            ProtectedFromScaleIn=protected,
        )

    async def hooks(self, group: str) -> Sequence[Hook]:
        reply = await self._call("describe_lifecycle_hooks", AutoScalingGroupName=group)
        found: Sequence[Reply] = reply.get("LifecycleHooks") or ()
        return [_hook(each) for each in found if each.get("LifecycleTransition") == TERMINATING]

    async def heartbeat(self, group: str, hook: Hook) -> None:
        """We are not done yet."""
        await self._call(
            "record_lifecycle_action_heartbeat",
            AutoScalingGroupName=group,
            LifecycleHookName=hook.name,
            InstanceId=self.instance_id,
        )

    async def complete(self, group: str, hook: Hook) -> None:
        """We are done: the termination may go on."""
        await self._call(
            "complete_lifecycle_action",
            AutoScalingGroupName=group,
            LifecycleHookName=hook.name,
            InstanceId=self.instance_id,
            LifecycleActionResult="CONTINUE",
        )

    async def terminate(self, *, decrement: bool) -> None:
        """With `decrement` the group then wants one instance less; without, it starts another in its place."""
        await self._call(
            "terminate_instance_in_auto_scaling_group",
            InstanceId=self.instance_id,
            ShouldDecrementDesiredCapacity=decrement,
        )

    async def report_unhealthy(self) -> None:
        """The group then replaces it."""
        await self._call(
            "set_instance_health",
            InstanceId=self.instance_id,
            HealthStatus="Unhealthy",
            ShouldRespectGracePeriod=False,
        )

    async def _call(self, operation: str, **parameters: Any) -> Reply:
        return await self._aws.call(SERVICE, operation, **parameters)


def _shape(reply: Reply) -> Shape:
    members: Sequence[Reply] = reply.get("Instances") or ()
    serving = [each for each in members if each.get("LifecycleState") == "InService" and _healthy(each)]
    return Shape(
        desired=int(reply["DesiredCapacity"]),
        minimum=int(reply["MinSize"]),
        in_service=len(serving),
        unprotected=[str(each["InstanceId"]) for each in serving if not each.get("ProtectedFromScaleIn")],
    )


def _healthy(member: Reply) -> bool:
    return str(member.get("HealthStatus", "")).lower() != "unhealthy"


def _hook(reply: Reply) -> Hook:
    heartbeat = float(reply.get("HeartbeatTimeout") or DEFAULT_HEARTBEAT)
    longest = float(reply.get("GlobalTimeout") or min(LONGEST_WAIT, HEARTBEATS * heartbeat))
    return Hook(str(reply["LifecycleHookName"]), heartbeat, longest)
