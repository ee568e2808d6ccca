"""AWS Batch's job queues for the queues of the settings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.deployment.compute_environments import Part, batch_tags, parts
from controller.deployment.names import logical_id
from runner.batch_settings import BatchSettings, job_queue_name
from runner.errors import BadInput, Place
from runner.settings import FleetSettings

MOST_ENVIRONMENTS = 3  # what a job queue takes
MOST_PRIORITY = 1000

# For so long a share's use counts against it, in seconds: the least there is, for all shares of users are equal.
REMEMBERED = 600


def own_queues(fleet: FleetSettings, batch: BatchSettings) -> Sequence[str]:
    """Those that `deploy` makes a job queue for: the others have one of the user's."""
    return [
        name
        for name in fleet.queues
        if name in batch.queues and batch.queues[name].job_queue == job_queue_name(fleet.name, name)
    ]


def own_environments(fleet: FleetSettings, batch: BatchSettings) -> Sequence[str]:
    """Those that such queues are served by."""
    used = {each for name in own_queues(fleet, batch) for each in fleet.queues[name].environments}
    return [name for name in fleet.environments if name in used]


def order(fleet: FleetSettings, queue: str) -> Sequence[Part]:
    """The queue's compute environments, the preferred first. Raises BadInput if AWS Batch takes no such queue."""
    named = [fleet.environments[name] for name in fleet.queues[queue].environments]
    found = [part for environment in named for part in parts(fleet, environment)]
    place = Place(key=f"queues.{queue}.environments")
    if len(found) > MOST_ENVIRONMENTS:
        names = ", ".join(part.name for part in found)
        problem = (
            f"make {len(found)} compute environments of AWS Batch ({names}), of which a job queue takes "
            f"{MOST_ENVIRONMENTS}: name fewer; one with market mixed counts as two"
        )
        raise BadInput(problem, place)
    if len({environment.instance_types[0].arm for environment in named}) > 1:
        problem = "are of x86 and of Arm processors, and a job queue of AWS Batch is of one kind: make it two queues"
        raise BadInput(problem, place)
    return found


def job_queues(fleet: FleetSettings, batch: BatchSettings) -> Mapping[str, Any]:
    """Raises BadInput."""
    names = own_queues(fleet, batch)
    numbers = _priorities({name: fleet.queues[name].priority for name in names})
    return {
        logical: made for name in names for logical, made in _resources(fleet, batch, name, numbers[name])
    }


def _priorities(given: Mapping[str, int]) -> Mapping[str, int]:
    """AWS Batch takes no negative ones: where there are such, the order stays and the figures do not."""
    if all(0 <= priority <= MOST_PRIORITY for priority in given.values()):
        return given
    ranks = {priority: rank for rank, priority in enumerate(sorted(set(given.values())))}
    return {name: ranks[priority] for name, priority in given.items()}


def _resources(
    fleet: FleetSettings, batch: BatchSettings, queue: str, priority: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    of_batch = batch.queues[queue]
    if of_batch.fargate:
        problem = "is for a job queue of yours, named as job_queue: those that `deploy` makes are of EC2"
        raise BadInput(problem, Place(key=f"batch.queues.{queue}.fargate"))
    policy = logical_id("Shares", queue)
    if of_batch.fair:
        yield (
            policy,
            {
                "Type": "AWS::Batch::SchedulingPolicy",
                "Properties": {
                    "Name": of_batch.job_queue,
                    "FairsharePolicy": {"ShareDecaySeconds": REMEMBERED},
                    "Tags": batch_tags(fleet),
                },
            },
        )
    yield (
        logical_id("JobQueue", queue),
        {
            "Type": "AWS::Batch::JobQueue",
            "Properties": {
                "JobQueueName": of_batch.job_queue,
                "State": "ENABLED",
                "Priority": priority,
                "ComputeEnvironmentOrder": [
                    {"Order": number, "ComputeEnvironment": {"Ref": part.logical}}
                    for number, part in enumerate(order(fleet, queue), start=1)
                ],
                **({"SchedulingPolicyArn": {"Ref": policy}} if of_batch.fair else {}),
                "Tags": batch_tags(fleet),
            },
        },
    )
