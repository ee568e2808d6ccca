"""What a change of the stack would take along: machines that run, messages and jobs that wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.deployment.batch_remains import find_jobs
from controller.deployment.stacks import Change
from runner.aws import Aws, AwsError, Reply

GROUP, QUEUE = "AWS::AutoScaling::AutoScalingGroup", "AWS::SQS::Queue"
JOB_QUEUE, COMPUTE_ENVIRONMENT = "AWS::Batch::JobQueue", "AWS::Batch::ComputeEnvironment"
KINDS = (GROUP, QUEUE, JOB_QUEUE, COMPUTE_ENVIRONMENT)
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


async def losses(aws: Aws, changes: Sequence[Change]) -> Sequence[str]:
    """A line for each. Raises AwsError."""
    lost = {
        kind: [each.id for each in changes if each.loses and each.kind == kind and each.id] for kind in KINDS
    }
    return [
        *(await _machines(aws, lost[GROUP])),
        *[line for url in lost[QUEUE] for line in await _messages(aws, url)],
        *[line for queue in lost[JOB_QUEUE] for line in await _jobs(aws, queue)],
        *(await _tasks(aws, lost[COMPUTE_ENVIRONMENT])),
    ]


async def _machines(aws: Aws, groups: Sequence[str]) -> Sequence[str]:
    # Without names the service would describe every group there is.
    if not groups:
        return []
    reply = await aws.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=groups)
    return list(_running(reply["AutoScalingGroups"]))


def _running(groups: Sequence[Reply]) -> Iterator[str]:
    for group in groups:
        if count := len(group.get("Instances") or ()):
            name = group["AutoScalingGroupName"]
            yield (
                f"{name} has {count} instance{'s' * (count > 1)}: let them end their tasks and leave, or end them with "
                f"`aws autoscaling delete-auto-scaling-group --force-delete --auto-scaling-group-name {name}`"
            )


async def _messages(aws: Aws, url: str) -> Sequence[str]:
    try:
        reply = await aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(COUNTS))
    except AwsError as error:
        if "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code:
            return []
        raise
    count = sum(int(reply["Attributes"][name]) for name in COUNTS)
    name = url.rpartition("/")[2]
    return [f"{name} holds {count} message{'s' * (count > 1)}: let the work on it end first"] if count else []


async def _jobs(aws: Aws, queue: str) -> Sequence[str]:
    """AWS Batch ends the jobs of a queue that is deleted."""
    known = await aws.call("batch", "describe_job_queues", jobQueues=[queue])
    count = len(await find_jobs(aws, queue)) if known.get("jobQueues") else 0
    name = queue.rpartition("/")[2]
    return (
        [f"{name} holds {count} job{'s' * (count > 1)}: let them end first, or cancel them"] if count else []
    )


async def _tasks(aws: Aws, environments: Sequence[str]) -> Sequence[str]:
    """What runs on their instances, whichever queue it came from."""
    if not environments:
        return []
    reply = await aws.call("batch", "describe_compute_environments", computeEnvironments=list(environments))
    found = reply.get("computeEnvironments") or ()
    names = {
        str(each["ecsClusterArn"]): str(each["computeEnvironmentName"])
        for each in found
        if each.get("ecsClusterArn")
    }
    if not names:
        return []
    clusters = (await aws.call("ecs", "describe_clusters", clusters=list(names))).get("clusters") or ()
    counts = {names[str(each["clusterArn"])]: int(each.get("runningTasksCount") or 0) for each in clusters}
    return [
        f"{name} runs {count} task{'s' * (count > 1)}: let them end first, or cancel them"
        for name, count in counts.items()
        if count
    ]
