"""One EC2 instance outside any group, like those of an environment, that ends itself when it is done.

Needs: autoscaling:DescribeAutoScalingGroups; ec2:DescribeLaunchTemplateVersions, RunInstances, CreateTags,
DescribeInstances, GetConsoleOutput, TerminateInstances; iam:PassRole for the instances' role.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.aws import Aws, AwsError, Reply
from runner.errors import Unavailable
from runner.settings import FleetSettings

# The zone has none of that type right now, or never has: another may.
ELSEWHERE = frozenset({"InsufficientInstanceCapacity", "Unsupported", "InsufficientFreeAddressesInSubnet"})
# So new that not every part of the service knows it.
UNKNOWN = "InvalidInstanceID.NotFound"
ENDED = frozenset({"shutting-down", "terminated", "stopping", "stopped"})
# By this tag `destroy` finds what is left of a fleet.
FLEET_TAG = "runner-fleet"
# What a launch template may say of a network interface and a request too.
INTERFACE = (
    "DeviceIndex",
    "NetworkCardIndex",
    "InterfaceType",
    "AssociatePublicIpAddress",
    "Groups",
    "Ipv6AddressCount",
    "DeleteOnTermination",
)


@dataclass(frozen=True, slots=True)
class _Mould:
    """`interfaces`: those of the template. Where it has any, the subnet must be theirs and not the instance's."""

    template: dict[str, str]
    subnets: Sequence[str]
    interfaces: Sequence[Reply]

    def placed(self, subnet: str) -> dict[str, Any]:
        """What a request says to start an instance there."""
        if not subnet:
            return {}
        if not self.interfaces:
            return {"SubnetId": subnet}
        kept = [{key: each[key] for key in INTERFACE if key in each} for each in self.interfaces]
        return {"NetworkInterfaces": [{**each, "SubnetId": subnet} for each in kept]}


class SingleInstances:
    """Implements `controller.ports.Machines`."""

    def __init__(self, aws: Aws, settings: FleetSettings) -> None:
        self._aws = aws
        self._settings = settings

    async def start(self, environment: str, instance_type: str, user_data: bytes, purpose: str) -> str:
        mould = await self._mould(environment)
        problem: AwsError | None = None
        for subnet in mould.subnets or ("",):
            try:
                return await self._run(mould, subnet, instance_type, user_data, purpose)
            except AwsError as error:
                if error.code not in ELSEWHERE:
                    raise
                problem = error
        assert problem is not None
        raise problem

    async def console(self, machine: str) -> str:
        try:
            reply = await self._aws.call("ec2", "get_console_output", InstanceId=machine, Latest=True)
        except AwsError as error:
            if error.code == UNKNOWN:
                return ""
            if error.code != "UnsupportedOperation":  # of machines of older make, that tell it only later
                raise
            reply = await self._aws.call("ec2", "get_console_output", InstanceId=machine)
        return str(reply.get("Output") or "")

    async def ended(self, machine: str) -> bool:
        try:
            reply = await self._aws.call("ec2", "describe_instances", InstanceIds=[machine])
        except AwsError as error:
            if error.code != UNKNOWN:
                raise
            return False
        found = [each for group in reply.get("Reservations") or () for each in group["Instances"]]
        return any(each["State"]["Name"] in ENDED for each in found)

    async def end(self, machine: str) -> None:
        await self._aws.call("ec2", "terminate_instances", InstanceIds=[machine])

    async def _run(
        self, mould: _Mould, subnet: str, instance_type: str, user_data: bytes, purpose: str
    ) -> str:
        tags = [
            {"Key": "Name", "Value": f"{self._settings.name}-reproduce"},
            {"Key": FLEET_TAG, "Value": self._settings.name},
            {"Key": "runner:reproduces", "Value": purpose[:256]},
        ]
        reply = await self._aws.call(
            "ec2",
            "run_instances",
            LaunchTemplate=mould.template,
            InstanceType=instance_type,
            MinCount=1,
            MaxCount=1,
            UserData=user_data,
            InstanceInitiatedShutdownBehavior="terminate",
            TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
            **mould.placed(subnet),
        )
        return str(reply["Instances"][0]["InstanceId"])

    async def _mould(self, environment: str) -> _Mould:
        """What the environment's own instances are made from."""
        name = self._settings.group(environment)
        reply = await self._aws.call(
            "autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name]
        )
        groups: Sequence[Reply] = reply.get("AutoScalingGroups") or ()
        template = _template(groups[0]) if groups else None
        if not template:
            message = (
                f"no Auto Scaling group {name} with a launch template: `runner-controller deploy` makes it"
            )
            raise Unavailable(message)
        subnets = str(groups[0].get("VPCZoneIdentifier") or "").split(",")
        interfaces = await self._interfaces(template)
        return _Mould(template, [subnet.strip() for subnet in subnets if subnet.strip()], interfaces)

    async def _interfaces(self, template: dict[str, str]) -> Sequence[Reply]:
        reply = await self._aws.call(
            "ec2",
            "describe_launch_template_versions",
            LaunchTemplateId=template["LaunchTemplateId"],
            Versions=[template["Version"]],
        )
        versions: Sequence[Reply] = reply.get("LaunchTemplateVersions") or ()
        found: Sequence[Reply] = (
            versions[0]["LaunchTemplateData"].get("NetworkInterfaces") or () if versions else ()
        )
        return found


def _template(group: Reply) -> dict[str, str] | None:
    mixed = group.get("MixedInstancesPolicy") or {}
    found = (mixed.get("LaunchTemplate") or {}).get("LaunchTemplateSpecification") or group.get(
        "LaunchTemplate"
    )
    if not found:
        return None
    return {"LaunchTemplateId": found["LaunchTemplateId"], "Version": found.get("Version") or "$Default"}
