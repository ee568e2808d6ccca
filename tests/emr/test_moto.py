"""The same requests as real clients make them, against moto: that names and shapes of parameters and replies are right.

Emulated by moto: clusters, instance groups and steps as records. Nothing runs there, a cluster is at once where it
would come to, and it knows no single instances.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import boto3
import pytest
from moto import mock_aws

from controller.adapters.emr.names import Name
from controller.adapters.emr.requests import cluster_request, step_request
from controller.adapters.emr.service import EmrService
from runner.adapters.boto import BotoAws
from runner.array import Array
from runner.emr import Bootstrap, InstanceGroup, Step
from runner.emr_settings import EmrSettings
from runner.model import EMR, Attempt, Job, TaskId
from tests.emr.stage import OWN

REGION = "us-east-1"
SETTINGS = EmrSettings("inst", REGION, log_uri="s3://logs/emr/")
STEPS = (Step("load", args=("spark-submit", "s3://code/load.py")), Step("sum", command=("sum", "up")))
JOB = Job(
    "a",
    "a",
    (),
    Array.of_size(1),
    backend=EMR,
    emr=type(OWN)(
        release="emr-7.5.0",
        main=InstanceGroup("m6i.xlarge"),
        core=InstanceGroup("m6i.2xlarge", 2, spot=True, bid=0.2),
        applications=("Spark",),
        bootstrap=(Bootstrap("s3://code/setup.sh", ("-v",)),),
        steps=STEPS,
    ),
)
ATTEMPT = Attempt(TaskId("a", 0), 1, 1, "emr-x#1", 0)
NAME = Name("inst", "a", 1, 1)


@pytest.fixture
async def service() -> AsyncIterator[EmrService]:
    with mock_aws():
        aws = BotoAws(REGION)
        yield EmrService(aws)
        await aws.close()


async def test_a_cluster_is_started_and_found_by_its_name(service: EmrService) -> None:
    cluster_id = await service.run(cluster_request(JOB, ATTEMPT, NAME, SETTINGS))
    (found,) = await service.named(str(NAME), 0.0)
    assert (found.id, found.name) == (cluster_id, "inst/a/1/1")
    assert found.created > 0


async def test_one_cluster_is_described_with_its_tags_and_place_of_logs(service: EmrService) -> None:
    cluster_id = await service.run(cluster_request(JOB, ATTEMPT, NAME, SETTINGS))
    found = await service.describe(cluster_id)
    assert found is not None
    assert found.tags is not None
    assert (found.tags["runner-fleet"], found.tags["runner-job"]) == ("inst", "a")
    assert found.log_uri == "s3://logs/emr/"


async def test_its_steps_are_listed(service: EmrService) -> None:
    cluster_id = await service.run(cluster_request(JOB, ATTEMPT, NAME, SETTINGS))
    names = [each.name for each in await service.steps(cluster_id)]
    assert sorted(names) == ["inst/a/1/1/1 load", "inst/a/1/1/2 sum"]


async def test_a_step_is_added_to_a_cluster_that_lives_on(service: EmrService) -> None:
    given = cluster_request(JOB, ATTEMPT, NAME, SETTINGS)
    given["Instances"]["KeepJobFlowAliveWhenNoSteps"] = True
    cluster_id = await service.run(given)
    (live,) = await service.live("inst/")
    assert live.id == cluster_id
    step = step_request(JOB, ATTEMPT, NAME, 3, STEPS[0], own=False)
    step_id = await service.add_step(cluster_id, step)
    assert step_id in [each.id for each in await service.steps(cluster_id)]


async def test_a_terminated_cluster_does_not_live(service: EmrService) -> None:
    given = cluster_request(JOB, ATTEMPT, NAME, SETTINGS)
    given["Instances"]["KeepJobFlowAliveWhenNoSteps"] = True
    cluster_id = await service.run(given)
    await service.terminate([cluster_id])
    assert await service.live("inst/") == []
    states = boto3.client("emr", REGION).describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    assert states["State"] == "TERMINATED"
