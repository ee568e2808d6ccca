"""What there is of a fleet on AWS Batch and Amazon EMR: all that is tagged as the fleet's."""

from __future__ import annotations

from collections.abc import Sequence

from controller.deployment.names import TAG
from controller.deployment.paging import pages
from runner.aws import Aws, Reply
from runner.settings import FleetSettings

# What has not ended. The parent of an array is PENDING while its children run.
LIVE_JOBS = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
LIVE_CLUSTERS = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")

# Of what the backend makes itself.
INSTALLATION = "runner:installation"

GONE = frozenset({"DELETED", "DELETING"})


async def find_job_queues(aws: Aws, fleet: FleetSettings) -> Sequence[Reply]:
    """As AWS Batch describes them. Raises AwsError."""
    found = await pages(aws, "batch", "describe_job_queues", "jobQueues", turn="nextToken")
    return [each for each in found if _own(each, fleet) and each.get("status") != "DELETED"]


async def find_compute_environments(aws: Aws, fleet: FleetSettings) -> Sequence[Reply]:
    """As AWS Batch describes them. Raises AwsError."""
    operation, key = "describe_compute_environments", "computeEnvironments"
    found = await pages(aws, "batch", operation, key, turn="nextToken")
    return [each for each in found if _own(each, fleet) and each.get("status") != "DELETED"]


async def find_jobs(aws: Aws, queue: str) -> Sequence[str]:
    """The ids of those that have not ended, an array as one. Raises AwsError."""
    return [
        str(each["jobId"])
        for status in LIVE_JOBS
        for each in await pages(
            aws,
            "batch",
            "list_jobs",
            "jobSummaryList",
            turn="nextToken",
            jobQueue=queue,
            jobStatus=status,
        )
    ]


async def find_definitions(aws: Aws, fleet: FleetSettings) -> Sequence[str]:
    """The ARNs of active job definitions. They cost nothing. Raises AwsError."""
    found = await pages(
        aws,
        "batch",
        "describe_job_definitions",
        "jobDefinitions",
        turn="nextToken",
        status="ACTIVE",
    )
    return [
        str(each["jobDefinitionArn"])
        for each in found
        if (each.get("tags") or {}).get(INSTALLATION) == fleet.name
    ]


async def find_clusters(aws: Aws, fleet: FleetSettings) -> Sequence[str]:
    """The ids of Amazon EMR's clusters that were started for jobs and live. Raises AwsError."""
    states = list(LIVE_CLUSTERS)
    found = await pages(
        aws,
        "emr",
        "list_clusters",
        "Clusters",
        turn="Marker",
        ClusterStates=states,
    )
    named = [str(each["Id"]) for each in found if str(each.get("Name", "")).startswith(f"{fleet.name}/")]
    return [each for each in named if await _own_cluster(aws, fleet, each)]


async def _own_cluster(aws: Aws, fleet: FleetSettings, cluster: str) -> bool:
    reply = await aws.call("emr", "describe_cluster", ClusterId=cluster)
    return {"Key": TAG, "Value": fleet.name} in (reply["Cluster"].get("Tags") or ())


def _own(described: Reply, fleet: FleetSettings) -> bool:
    return bool((described.get("tags") or {}).get(TAG) == fleet.name)
