"""What there is of a fleet that costs money, found by asking each service: proof that nothing is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.deployment.names import TAG, fleet_stack, groups, storage_stack
from controller.deployment.shipping import bucket_exists, tagged_bucket
from controller.deployment.stacks import Stacks
from runner.aws import Aws, AwsError, Reply
from runner.settings import FleetSettings

GONE = frozenset({"shutting-down", "terminated"})


@dataclass(frozen=True, slots=True)
class Remnant:
    kind: str
    name: str


async def remains(aws: Aws, fleet: FleetSettings, account: str) -> Sequence[Remnant]:
    """Everything that is tagged as the fleet's or has a name only it would have. Raises AwsError."""
    finders: Mapping[str, Callable[[], Awaitable[Iterable[str]]]] = {
        "stack": lambda: _stacks(aws, fleet),
        "instance": lambda: _instances(aws, fleet),
        "volume": lambda: _volumes(aws, fleet),
        "Auto Scaling group": lambda: _groups(aws, fleet),
        "launch template": lambda: _templates(aws, fleet),
        "queue": lambda: _queues(aws, fleet),
        "table": lambda: _table(aws, fleet),
        "bucket": lambda: _bucket(aws, fleet, account),
        "log group": lambda: _log_group(aws, fleet),
        "alarm": lambda: _alarms(aws, fleet),
    }
    return [Remnant(kind, name) for kind, find in finders.items() for name in await find()]


async def _pages(aws: Aws, service: str, operation: str, key: str, **wanted: Any) -> Sequence[Reply]:
    found: list[Reply] = []
    page: dict[str, Any] = {}
    while True:
        reply = await aws.call(service, operation, **wanted, **page)
        found += reply.get(key) or ()
        if not reply.get("NextToken"):
            return found
        page = {"NextToken": reply["NextToken"]}


async def _stacks(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    stacks = Stacks(aws, fleet.name, lambda _: None)
    found = [await stacks.find(name) for name in (fleet_stack(fleet), storage_stack(fleet))]
    return [stack.name for stack in found if stack is not None and stack.owner == fleet.name]


async def _instances(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    reservations = await _pages(aws, "ec2", "describe_instances", "Reservations", Filters=[_tagged(fleet)])
    return [
        str(instance["InstanceId"])
        for reservation in reservations
        for instance in reservation["Instances"]
        if instance["State"]["Name"] not in GONE
    ]


async def _volumes(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    volumes = await _pages(aws, "ec2", "describe_volumes", "Volumes", Filters=[_tagged(fleet)])
    return [str(volume["VolumeId"]) for volume in volumes if volume.get("State") != "deleting"]


async def _groups(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    tag = {"Name": f"tag:{TAG}", "Values": [fleet.name]}
    found = await _pages(
        aws, "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", Filters=[tag]
    )
    return [str(group["AutoScalingGroupName"]) for group in found]


async def _templates(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    tagged = await _pages(
        aws, "ec2", "describe_launch_templates", "LaunchTemplates", Filters=[_tagged(fleet)]
    )
    named = await _pages(
        aws,
        "ec2",
        "describe_launch_templates",
        "LaunchTemplates",
        Filters=[{"Name": "launch-template-name", "Values": list(groups(fleet))}],
    )
    return sorted({str(each["LaunchTemplateName"]) for each in (*tagged, *named)})


async def _queues(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    found = await _pages(aws, "sqs", "list_queues", "QueueUrls", QueueNamePrefix=f"{fleet.name}-")
    # Another fleet's name may begin with this one's: the tag tells.
    return [url.rpartition("/")[2] for url in map(str, found) if await _own_queue(aws, fleet, url)]


async def _own_queue(aws: Aws, fleet: FleetSettings, url: str) -> bool:
    try:
        reply = await aws.call("sqs", "list_queue_tags", QueueUrl=url)
    except AwsError as error:
        if "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code:
            return False  # listed for a while after its end
        raise
    return bool((reply.get("Tags") or {}).get(TAG) == fleet.name)


async def _table(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    try:
        reply = await aws.call("dynamodb", "describe_table", TableName=fleet.table)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return []
        raise
    return [] if reply["Table"].get("TableStatus") == "DELETING" else [fleet.table]


async def _bucket(aws: Aws, fleet: FleetSettings, account: str) -> Iterable[str]:
    bucket = fleet.bucket_name(account)
    own = await bucket_exists(aws, bucket) and await tagged_bucket(aws, fleet, bucket)
    return [bucket] if own else []


async def _log_group(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    if fleet.log_group is None:
        return []
    reply = await aws.call("logs", "describe_log_groups", logGroupNamePrefix=fleet.log_group)
    names = [str(group["logGroupName"]) for group in reply.get("logGroups") or ()]
    return [name for name in names if name == fleet.log_group]


async def _alarms(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    found = await _pages(
        aws, "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{fleet.name}-"
    )
    return [str(alarm["AlarmName"]) for alarm in found if await _own_alarm(aws, fleet, alarm["AlarmArn"])]


async def _own_alarm(aws: Aws, fleet: FleetSettings, arn: str) -> bool:
    reply = await aws.call("cloudwatch", "list_tags_for_resource", ResourceARN=arn)
    return {"Key": TAG, "Value": fleet.name} in (reply.get("Tags") or ())


def _tagged(fleet: FleetSettings) -> Mapping[str, Any]:
    return {"Name": f"tag:{TAG}", "Values": [fleet.name]}
