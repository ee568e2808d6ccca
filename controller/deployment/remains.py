"""What there is of a fleet that costs money, found by asking each service: proof that nothing is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.deployment.batch_remains import (
    find_clusters,
    find_compute_environments,
    find_job_queues,
    find_jobs,
)
from controller.deployment.names import TAG, batch_template, fleet_stack, groups, log_groups, storage_stack
from controller.deployment.paging import pages
from controller.deployment.shipping import bucket_exists, tagged_bucket
from controller.deployment.stacks import Stacks
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.batch_settings import BatchSettings
from runner.errors import BadInput, Place
from runner.settings import FleetSettings, Settings

GONE = frozenset({"shutting-down", "terminated"})


@dataclass(frozen=True, slots=True)
class Remnant:
    kind: str
    name: str


async def remains(aws: Aws, settings: Settings, fleet: FleetSettings, account: str) -> Sequence[Remnant]:
    """Everything that is tagged as the fleet's or has a name only it would have. Raises AwsError."""
    batch = settings.batch
    finders: Mapping[str, Callable[[], Awaitable[Iterable[str]]]] = {
        "stack": lambda: _stacks(aws, fleet),
        "instance": lambda: find_instances(aws, fleet),
        "volume": lambda: _volumes(aws, fleet),
        "Auto Scaling group": lambda: _groups(aws, fleet),
        "Batch job": lambda: _asked(_jobs(aws, fleet), batch),
        "job queue": lambda: _asked(_job_queues(aws, fleet), batch),
        "compute environment": lambda: _asked(_compute_environments(aws, fleet), batch),
        "EMR cluster": lambda: _asked(find_clusters(aws, fleet), settings.emr),
        "launch template": lambda: _templates(aws, fleet),
        "queue": lambda: _queues(aws, fleet),
        "table": lambda: _table(aws, fleet),
        "bucket": lambda: _bucket(aws, fleet, account),
        "log group": lambda: _log_groups(aws, fleet, batch),
        "alarm": lambda: _alarms(aws, fleet),
    }
    return [Remnant(kind, name) for kind, find in finders.items() for name in await find()]


async def _asked(found: Awaitable[Iterable[str]], used: object | None) -> Iterable[str]:
    """Of a service that the settings do not use (any more), who has no right to look there could not have used it."""
    try:
        return await found
    except AwsError as error:
        if used is None and error.trouble is Trouble.DENIED:
            return []
        raise


async def _jobs(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    queues = [str(queue["jobQueueName"]) for queue in await find_job_queues(aws, fleet)]
    return [f"{job} on {queue}" for queue in queues for job in await find_jobs(aws, queue)]


async def _job_queues(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    return [str(each["jobQueueName"]) for each in await find_job_queues(aws, fleet)]


async def _compute_environments(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    found = await find_compute_environments(aws, fleet)
    return [str(each["computeEnvironmentName"]) for each in found]


async def _stacks(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    stacks = Stacks(aws, fleet.name, lambda _: None)
    found = [await stacks.find(name) for name in (fleet_stack(fleet), storage_stack(fleet))]
    return [stack.name for stack in found if stack is not None and stack.owner == fleet.name]


async def find_instances(aws: Aws, fleet: FleetSettings) -> Sequence[str]:
    """The ids of those that are not about to be gone. Raises AwsError."""
    reservations = await pages(aws, "ec2", "describe_instances", "Reservations", Filters=[_tagged(fleet)])
    return [
        str(instance["InstanceId"])
        for reservation in reservations
        for instance in reservation["Instances"]
        if instance["State"]["Name"] not in GONE
    ]


async def _volumes(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    volumes = await pages(aws, "ec2", "describe_volumes", "Volumes", Filters=[_tagged(fleet)])
    return [str(volume["VolumeId"]) for volume in volumes if volume.get("State") != "deleting"]


async def find_groups(aws: Aws, fleet: FleetSettings) -> Sequence[Reply]:
    """As Auto Scaling describes them. Raises AwsError."""
    return await pages(
        aws,
        "autoscaling",
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        Filters=[_tagged(fleet)],
        MaxRecords=100,
    )


async def _groups(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    return [str(group["AutoScalingGroupName"]) for group in await find_groups(aws, fleet)]


async def _templates(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    tagged = await pages(aws, "ec2", "describe_launch_templates", "LaunchTemplates", Filters=[_tagged(fleet)])
    names = [*groups(fleet), *(batch_template(fleet, each) for each in fleet.environments)]
    named = await pages(
        aws,
        "ec2",
        "describe_launch_templates",
        "LaunchTemplates",
        Filters=[{"Name": "launch-template-name", "Values": names}],
    )
    return sorted({str(each["LaunchTemplateName"]) for each in (*tagged, *named)})


async def _queues(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    found = await pages(aws, "sqs", "list_queues", "QueueUrls", QueueNamePrefix=f"{fleet.name}-")
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
    own = await bucket_exists(aws, fleet, bucket) and await tagged_bucket(aws, fleet, bucket)
    return [bucket] if own else []


async def _log_groups(aws: Aws, fleet: FleetSettings, batch: BatchSettings | None) -> Sequence[str]:
    return [name for name in log_groups(fleet, batch) if await has_log_group(aws, name)]


async def has_log_group(aws: Aws, name: str) -> bool:
    """Raises AwsError."""
    reply = await aws.call("logs", "describe_log_groups", logGroupNamePrefix=name)
    return any(group["logGroupName"] == name for group in reply.get("logGroups") or ())


async def require_free_names(
    aws: Aws, fleet: FleetSettings, batch: BatchSettings | None, made: Collection[str]
) -> None:
    """That the table and log groups are among what the stack has `made`, or are not there yet: a stack cannot make
    what is there, and half-way is too late to find out. Raises BadInput, AwsError."""
    keys = log_groups(fleet, batch)
    taken = [("fleet.table", "table", name) for name in await _table(aws, fleet)]
    taken += [(keys[name], "log group", name) for name in await _log_groups(aws, fleet, batch)]
    for key, kind, name in taken:
        if name not in made:
            problem = f"there is a {kind} {name} already that is not this fleet's: name another, or delete it"
            raise BadInput(problem, Place(key=key))


async def _alarms(aws: Aws, fleet: FleetSettings) -> Iterable[str]:
    found = await pages(
        aws, "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{fleet.name}-"
    )
    return [str(alarm["AlarmName"]) for alarm in found if await _own_alarm(aws, fleet, alarm["AlarmArn"])]


async def _own_alarm(aws: Aws, fleet: FleetSettings, arn: str) -> bool:
    reply = await aws.call("cloudwatch", "list_tags_for_resource", ResourceARN=arn)
    return {"Key": TAG, "Value": fleet.name} in (reply.get("Tags") or ())


def _tagged(fleet: FleetSettings) -> Mapping[str, Any]:
    return {"Name": f"tag:{TAG}", "Values": [fleet.name]}
