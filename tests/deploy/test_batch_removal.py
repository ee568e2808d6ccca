"""`destroy` in mode batch: deployed and removed against moto, in process.

moto's AWS Batch deletes at once and whatever is asked, also what is ENABLED or in use; what AWS refuses is in
`test_batch_destroy`. Its stacks forget the tags of AWS Batch's resources, and leave these when they go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from controller.deployment.remains import Remnant
from tests.deploy.test_batch_installing import REGION, SETTINGS, MotoBatch
from tests.deploy.test_removal import Site

BUCKET = f"f00-123456789012-{REGION}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with mock_aws():
        boto3.client("iam", REGION).create_role(
            RoleName="AWSServiceRoleForBatch", AssumeRolePolicyDocument="{}"
        )
        made = Site(tmp_path, SETTINGS, MotoBatch)
        made.deploy()
        for arn in (*queues(), *environments()):
            batch().tag_resource(resourceArn=arn, tags={"runner-fleet": "f00"})
        yield made


def batch() -> Any:
    return boto3.client("batch", REGION)


def queues() -> Sequence[str]:
    return [each["jobQueueArn"] for each in batch().describe_job_queues()["jobQueues"]]


def environments() -> Sequence[str]:
    found = batch().describe_compute_environments()["computeEnvironments"]
    return [each["computeEnvironmentArn"] for each in found]


def definitions() -> Sequence[str]:
    found = batch().describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    return [each["jobDefinitionName"] for each in found]


def define(installation: str) -> None:
    needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
    batch().register_job_definition(
        jobDefinitionName=f"{installation}-a",
        type="container",
        containerProperties={"image": "busybox", "resourceRequirements": needs},
        tags={"runner:installation": installation},
    )


def test_all_that_was_deployed_goes(site: Site) -> None:
    assert len(queues()) == 2
    assert site.destroy() == []
    assert (queues(), environments()) == ([], [])
    assert boto3.client("logs", REGION).describe_log_groups()["logGroups"] == []


def test_the_table_goes_with_its_history_though_it_is_protected(site: Site) -> None:
    tables = boto3.client("dynamodb", REGION)
    assert tables.describe_table(TableName="f00")["Table"]["DeletionProtectionEnabled"]
    tables.put_item(TableName="f00", Item={"pk": {"S": "a"}, "sk": {"S": "a"}})
    site.destroy()
    assert tables.list_tables()["TableNames"] == []


def test_only_the_fleets_own_job_definitions_are_deregistered(site: Site) -> None:
    define("f00")
    define("f00-two")
    site.destroy()
    assert definitions() == ["f00-two-a"]


def test_logs_in_the_bucket_are_kept_until_it_is_said_otherwise(site: Site) -> None:
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key="manifests/a", Body=b"x")
    assert site.destroy() == [Remnant("bucket", BUCKET)]
    assert site.destroy(delete_logs=True) == []


def test_a_job_queue_of_somebody_else_stays(site: Site) -> None:
    (environment, *_) = environments()
    theirs = [{"order": 1, "computeEnvironment": environment}]
    batch().create_job_queue(
        jobQueueName="f00-theirs", state="ENABLED", priority=1, computeEnvironmentOrder=theirs
    )
    site.destroy()
    assert [arn.rpartition("/")[2] for arn in queues()] == ["f00-theirs"]
