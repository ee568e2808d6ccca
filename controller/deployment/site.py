"""What the templates need to know beside the settings: account, network, images. Found out by asking AWS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.aws import Aws, AwsError, Reply
from runner.errors import BadInput, NotFound, Place
from runner.settings import FleetSettings, Settings


@dataclass(frozen=True, slots=True)
class Image:
    """`root_device` is where the image has its root volume, `size` in GiB what that must have at least."""

    id: str
    root_device: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """`images` by whether their processors are Arm. `bundle`: the S3 prefix of what machines install. `own_bucket`:
    whether the stack has the bucket; else it was there before, and stays as it is."""

    account: str
    partition: str
    vpc: str
    subnets: tuple[str, ...]
    images: Mapping[bool, Image]
    bundle: str
    own_bucket: bool = True


async def account_of(aws: Aws) -> tuple[str, str]:
    """Account and partition of the credentials. Raises AwsError."""
    caller = await aws.call("sts", "get_caller_identity")
    return str(caller["Account"]), str(caller["Arn"]).split(":")[1]


async def network(aws: Aws, fleet: FleetSettings) -> tuple[str, tuple[str, ...]]:
    """VPC and subnets. Raises NotFound where there are none, BadInput where they are not of one VPC, AwsError."""
    given = fleet.deployment.subnets
    if given:
        found = await _subnets(aws, SubnetIds=list(given))
    else:
        found = await _subnets(aws, Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    if not found:
        message = f"there is no default VPC with subnets in {fleet.region}: name subnets in fleet.deployment.subnets"
        raise NotFound(message)
    vpcs = {str(subnet["VpcId"]) for subnet in found}
    if len(vpcs) > 1:
        problem = f"must be of one VPC, not of {', '.join(sorted(vpcs))}"
        raise BadInput(problem, Place(key="fleet.deployment.subnets"))
    return vpcs.pop(), given or tuple(sorted(str(subnet["SubnetId"]) for subnet in found))


async def _subnets(aws: Aws, **wanted: Any) -> Sequence[Reply]:
    found: Sequence[Reply] = (await aws.call("ec2", "describe_subnets", **wanted))["Subnets"]
    return found


async def images(aws: Aws, settings: Settings, fleet: FleetSettings) -> Mapping[bool, Image]:
    """Those that the fleet's own machines need. Raises NotFound, BadInput, AwsError."""
    deployment = fleet.deployment
    given = {False: ("image", deployment.image), True: ("image_arm", deployment.image_arm)}
    return {arm: await _image(aws, *given[arm], arm=arm) for arm in sorted(set(_processors(settings, fleet)))}


def _processors(settings: Settings, fleet: FleetSettings) -> Iterator[bool]:
    yield fleet.deployment.controller.arm
    for environment in fleet.environments.values() if settings.machines else ():
        yield environment.instance_types[0].arm  # all of one environment's are of one kind


async def _image(aws: Aws, key: str, name: str, *, arm: bool) -> Image:
    ami = await _parameter(aws, key, name) if name.startswith("/") else name
    try:
        found: Sequence[Reply] = (await aws.call("ec2", "describe_images", ImageIds=[ami]))["Images"]
    except AwsError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = ()
    if not found:
        message = f"fleet.deployment.{key}: there is no image {ami} in this region"
        raise NotFound(message)
    wanted = "arm64" if arm else "x86_64"
    if found[0].get("Architecture", wanted) != wanted:
        problem = f"{ami} is for {found[0]['Architecture']}, not for {wanted}"
        raise BadInput(problem, Place(key=f"fleet.deployment.{key}"))
    return _of(found[0])


def _of(reply: Reply) -> Image:
    device = str(reply.get("RootDeviceName") or "/dev/xvda")
    mapped = {each.get("DeviceName"): each for each in reply.get("BlockDeviceMappings") or ()}
    size = (mapped.get(device, {}).get("Ebs") or {}).get("VolumeSize") or 0
    return Image(str(reply["ImageId"]), device, int(size))


async def _parameter(aws: Aws, key: str, name: str) -> str:
    try:
        reply = await aws.call("ssm", "get_parameter", Name=name)
    except AwsError as error:
        if error.code != "ParameterNotFound":
            raise
        message = f"fleet.deployment.{key}: there is no SSM parameter {name} in this region"
        raise NotFound(message) from error
    return str(reply["Parameter"]["Value"])
