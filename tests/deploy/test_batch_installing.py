"""`deploy` in mode batch: against moto, in process, and what a change would take along, over scripted services.

Emulated beside moto, whose stacks make compute environments of other properties than AWS's: they are given a service
role, and security groups of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws

from controller.deployment.installing import Installation
from controller.deployment.linked_roles import ensure_linked_roles, linked_roles
from controller.deployment.losses import COMPUTE_ENVIRONMENT, JOB_QUEUE, losses
from controller.deployment.stacks import Change
from controller.simulation.services.service import refused
from runner.aws import AwsError, Reply, Trouble
from runner.configuration import load_settings
from runner.settings import Settings
from tests.deploy.sample import batch_settings, settings
from tests.deploy.scripted import Answer, Scripted
from tests.deploy.test_removal import IMAGE, Moto

REGION = "us-east-1"
SERVICE_ROLE = "arn:aws:iam::123456789012:role/AWSServiceRoleForBatch"
SETTINGS = """\
mode: batch
queues:
  default: {environments: [small, mixed]}
  urgent: {environments: [mixed], priority: 9}
fleet:
  name: f00
  region: us-east-1
  log_group: /f00/tasks
  environments:
    small: {instance_types: [m6i.large], max: 3}
    mixed: {instance_types: [m6i.large], market: mixed, on_demand_base: 1, max: 5}
  deployment: {image: IMAGE, controller: t3.small}
"""


class MotoBatch(Moto):
    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if body := parameters.get("TemplateBody"):
            parameters["TemplateBody"] = _as_moto_has_it(body)
        return await super().call(service, operation, urgent=urgent, **parameters)


def _as_moto_has_it(body: str) -> str:
    template = yaml.safe_load(body)
    for resource in template["Resources"].values():
        if resource["Type"] == COMPUTE_ENVIRONMENT:
            resource["Properties"]["ServiceRole"] = SERVICE_ROLE
            groups = [{"Fn::GetAtt": ["NoWayIn", "GroupId"]}]
            resource["Properties"]["ComputeResources"]["SecurityGroupIds"] = groups
    return str(yaml.safe_dump(template, sort_keys=False))


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[list[str]]:
    """What was said."""
    said: list[str] = []
    (tmp_path / "runner.yaml").write_text(SETTINGS.replace("IMAGE", IMAGE))
    settings = load_settings(tmp_path / "runner.yaml", {}, tmp_path)
    assert settings.fleet is not None
    fleet = settings.fleet

    async def work() -> None:
        aws = MotoBatch()
        installation = Installation(aws, settings, fleet, said.append)
        await installation.deploy(await installation.survey())
        await aws.close()

    with mock_aws():
        boto3.client("iam", REGION).create_role(
            RoleName="AWSServiceRoleForBatch", AssumeRolePolicyDocument="{}"
        )
        asyncio.run(work())
        yield said


def test_deploying_makes_what_the_same_settings_mean_on_aws_batch(deployed: list[str]) -> None:
    batch = boto3.client("batch", REGION)
    environments = {
        each["computeEnvironmentName"]: each["computeResources"]
        for each in batch.describe_compute_environments()["computeEnvironments"]
    }
    assert environments.keys() == {"f00-small", "f00--steady-mixed", "f00-mixed"}
    assert {name: int(each["maxvCpus"]) for name, each in environments.items()} == {
        "f00-small": 6,
        "f00--steady-mixed": 2,
        "f00-mixed": 8,
    }
    queues = {each["jobQueueName"]: each for each in batch.describe_job_queues()["jobQueues"]}
    order = queues["f00-default"]["computeEnvironmentOrder"]
    names = [each["computeEnvironment"].rpartition("/")[2] for each in order]
    assert names == ["f00-small", "f00--steady-mixed", "f00-mixed"]
    assert int(queues["f00-urgent"]["priority"]) == 9


def test_there_are_no_groups_and_queues_of_a_fleet_beside(deployed: list[str]) -> None:
    groups = boto3.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"]
    assert [each["AutoScalingGroupName"] for each in groups] == ["f00.controller"]
    assert "QueueUrls" not in boto3.client("sqs", REGION).list_queues()


def test_the_execution_role_is_there_by_its_name(deployed: list[str]) -> None:
    boto3.client("iam", REGION).get_role(RoleName="f00-batch-execution")


def test_the_services_own_roles_are_made_where_the_account_lacks_them(deployed: list[str]) -> None:
    said = [line for line in deployed if line.startswith("made the role")]
    assert [line.split()[3].rstrip(",") for line in said] == [
        "AWSServiceRoleForECS",
        "AWSServiceRoleForEC2Spot",
    ]


def ensured(**answers: Answer) -> Scripted:
    aws = Scripted(answers)
    asyncio.run(ensure_linked_roles(aws, linked_roles(batch_settings()), lambda _: None))
    return aws


def test_roles_that_are_there_are_not_made_again() -> None:
    assert ensured(get_role={"Role": {}}).given("create_service_linked_role") == []


def test_a_role_that_somebody_else_made_meanwhile_will_do() -> None:
    taken = refused("InvalidInput", "Service role name has been taken in this account")
    aws = ensured(get_role=refused("NoSuchEntity"), create_service_linked_role=taken)
    assert len(aws.given("create_service_linked_role")) == 3


def test_who_may_not_make_a_missing_role_is_told_so() -> None:
    denied = AwsError("iam:CreateServiceLinkedRole", "", "AccessDenied", "no", Trouble.DENIED)
    with pytest.raises(AwsError, match="iam:CreateServiceLinkedRole"):
        ensured(get_role=refused("NoSuchEntity"), create_service_linked_role=denied)


def test_who_may_not_look_for_roles_can_deploy_all_the_same() -> None:
    denied = AwsError("iam:GetRole", "", "AccessDenied", "no", Trouble.DENIED)
    assert ensured(get_role=denied).given("create_service_linked_role") == []


@pytest.mark.parametrize("without", [Settings(), settings()])
def test_without_aws_batch_none_of_its_roles_is_needed(without: Settings) -> None:
    assert linked_roles(without) == {}


ARN = "arn:aws:batch:us-east-1:123456789012:"
QUEUE = Change("Remove", JOB_QUEUE, "JobQueuedefault", f"{ARN}job-queue/f00-default")
GONE = Change("Remove", COMPUTE_ENVIRONMENT, "Computesmall", f"{ARN}compute-environment/f00-small")


def lost(*changes: Change, **answers: Answer) -> list[str]:
    return list(asyncio.run(losses(Scripted(answers), changes)))


def live(jobQueue: str, jobStatus: str) -> Mapping[str, Any]:
    return {"jobSummaryList": [{"jobId": "1"}, {"jobId": "2"}] if jobStatus == "RUNNABLE" else []}


def environments(running: int) -> Mapping[str, Answer]:
    cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/AWSBatch-f00-small-1"
    found = {"computeEnvironmentName": "f00-small", "ecsClusterArn": cluster}
    return {
        "describe_compute_environments": {"computeEnvironments": [found]},
        "describe_clusters": {"clusters": [{"clusterArn": cluster, "runningTasksCount": running}]},
    }


def test_a_job_queue_with_jobs_is_not_taken_away() -> None:
    there = {"jobQueues": [{"jobQueueName": "f00-default"}]}
    told = lost(QUEUE, describe_job_queues=there, list_jobs=live)
    assert told == ["f00-default holds 2 jobs: let them end first, or cancel them"]


def test_a_job_queue_that_is_gone_already_holds_nothing() -> None:
    assert lost(QUEUE, describe_job_queues={"jobQueues": []}, list_jobs=live) == []


def test_an_environment_that_runs_tasks_is_not_taken_away() -> None:
    assert lost(GONE, **environments(1)) == ["f00-small runs 1 task: let them end first, or cancel them"]


def test_an_idle_environment_may_go() -> None:
    assert lost(GONE, **environments(0)) == []


def test_what_is_changed_in_place_loses_nothing() -> None:
    changed = Change("Modify", COMPUTE_ENVIRONMENT, "Computesmall", GONE.id)
    assert lost(changed, **environments(5)) == []
