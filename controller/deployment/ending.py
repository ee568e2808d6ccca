"""The end of all of a fleet's machines, in growing earnest: their groups are told to have none, so that agents drain;
then the hooks that hold them back are completed; then they are terminated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from controller.deployment.machines import HOOK
from controller.deployment.names import controller_group
from controller.deployment.remains import find_groups, find_instances
from controller.deployment.stacks import Say, pauses
from runner.aws import Aws, AwsError, Reply
from runner.errors import Unavailable
from runner.settings import FleetSettings

# Beyond the time that tasks get, in seconds: for agents to notice, to stop what runs on, and to record it.
MARGIN = 60.0
# From completed hooks until what is then still there is terminated.
GOING = 60.0
# From then on, until somebody must look. Large machines take minutes.
PATIENCE = 600.0

# As many as a request of Auto Scaling takes.
NAMES = 50
HELD = "Terminating:Wait"


class Ending:
    """`drain`: how long running tasks may go on, in seconds. All raise AwsError."""

    def __init__(self, aws: Aws, fleet: FleetSettings, drain: float, say: Say) -> None:
        self._aws = aws
        self._fleet = fleet
        self._drain = drain
        self._say = say
        self._terminated: set[str] = set()

    async def stop_controller(self) -> None:
        """Until its machine is gone, so that nobody starts anything any more. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for pause in pauses():
            first = controller_group(self._fleet)
            own = [each for each in await self._groups() if each["AutoScalingGroupName"] == first]
            await self._shrink(own)
            if not any(map(_members, own)):
                return
            if loop.time() - begun >= PATIENCE:
                message = f"the machine of {first} does not go; look at it, then try again"
                raise Unavailable(message)
            await asyncio.sleep(pause)

    async def run(self) -> None:
        """Until no machine is left. Raises Unavailable for those that do not go whatever is done."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for pause in pauses():
            waited = loop.time() - begun - self._drain - MARGIN
            left = await find_instances(self._aws, self._fleet)
            groups = await self._groups()  # after the instances: what has joined a group by now is left to it
            if not left and not any(map(_members, groups)):
                await self._shrink(groups)
                return
            if waited >= GOING + PATIENCE:
                names = sorted({*left, *(str(each["InstanceId"]) for each in chain(*map(_members, groups)))})
                message = f"machines do not go: {', '.join(names)}; look at them, then try again"
                raise Unavailable(message)
            await self._look(left, groups, waited)
            await asyncio.sleep(pause)

    async def _look(self, left: Sequence[str], groups: Sequence[Reply], waited: float) -> None:
        """Protected machines would hold up the end of their group for ever, and agents protect themselves again and
        again while they work: so at every look they lose it again."""
        members = {str(each["InstanceId"]) for group in groups for each in _members(group)}
        await self._terminate([each for each in left if each not in members], "of no group")
        await self._shrink(groups)
        if waited >= 0:
            for group in groups:
                await self._let_go(group)
        if waited >= GOING:
            await self._terminate(sorted({*left, *members}), "that stay")

    async def _groups(self) -> Sequence[Reply]:
        """The controller's first, which would ask for more machines."""
        first = controller_group(self._fleet)
        found = await find_groups(self._aws, self._fleet)
        return sorted(found, key=lambda group: bool(group["AutoScalingGroupName"] != first))

    async def _shrink(self, groups: Sequence[Reply]) -> None:
        for group in groups:
            name = str(group["AutoScalingGroupName"])
            await self._unprotect(name, group)
            if group["MaxSize"] or group["DesiredCapacity"]:
                self._say(f"{name}: {len(_members(group))} to end")
                none: dict[str, Any] = {"MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0}
                await self._aws.call(
                    "autoscaling", "update_auto_scaling_group", AutoScalingGroupName=name, **none
                )

    async def _unprotect(self, name: str, group: Reply) -> None:
        working = [each for each in _members(group) if each["LifecycleState"] == "InService"]
        for some in _by_fifty([each["InstanceId"] for each in working if each.get("ProtectedFromScaleIn")]):
            await self._aws.call(
                "autoscaling",
                "set_instance_protection",
                AutoScalingGroupName=name,
                InstanceIds=some,
                ProtectedFromScaleIn=False,
            )

    async def _let_go(self, group: Reply) -> None:
        """An agent whose tasks take longer keeps its machine by heartbeats, as long as its hook allows: for hours."""
        for each in _members(group):
            if each["LifecycleState"] != HELD:
                continue
            try:
                await self._aws.call(
                    "autoscaling",
                    "complete_lifecycle_action",
                    AutoScalingGroupName=group["AutoScalingGroupName"],
                    LifecycleHookName=HOOK,
                    InstanceId=each["InstanceId"],
                    LifecycleActionResult="CONTINUE",
                )
            except AwsError as error:
                if error.code != "ValidationError":  # its agent did so in this very moment
                    raise

    async def _terminate(self, machines: Sequence[str], which: str) -> None:
        wanted = [each for each in machines if each not in self._terminated]
        if wanted:
            self._say(f"{len(wanted)} machine{'s' * (len(wanted) > 1)} {which} to end")
            for some in _by_fifty(wanted):
                await self._aws.call("ec2", "terminate_instances", InstanceIds=some)
            self._terminated.update(wanted)


def _members(group: Reply) -> Sequence[Reply]:
    return group.get("Instances") or ()


def _by_fifty(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + NAMES] for start in range(0, len(names), NAMES))
