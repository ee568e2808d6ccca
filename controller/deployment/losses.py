"""What a change of the stack would take along: machines that run, messages that wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.deployment.stacks import Change
from runner.aws import Aws, AwsError, Reply

GROUP, QUEUE = "AWS::AutoScaling::AutoScalingGroup", "AWS::SQS::Queue"
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


async def losses(aws: Aws, changes: Sequence[Change]) -> Sequence[str]:
    """A line for each. Raises AwsError."""
    groups = [each.id for each in changes if each.loses and each.kind == GROUP and each.id]
    queues = [each.id for each in changes if each.loses and each.kind == QUEUE and each.id]
    return [*(await _machines(aws, groups)), *[line for url in queues for line in await _messages(aws, url)]]


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
