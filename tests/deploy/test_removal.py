"""What becomes of logs and of machines that work, when a fleet or a part of it is removed. Against moto, in process.

Emulated beside moto, which does not know it: resources with `RetainExceptOnCreate` stay when their stack goes, and
change sets name the resources that they are about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from controller.deployment.installing import Installation
from controller.deployment.remains import Remnant
from controller.deployment.removal import Removal
from controller.simulation.services.service import refused
from runner.adapters.boto import BotoAws
from runner.aws import AwsError, Reply
from runner.configuration import load_settings
from runner.errors import BadInput, Conflict
from runner.settings import AgentSettings, FleetSettings, Settings
from tests.deploy.scripted import Answer, Scripted

REGION = "us-east-1"
IMAGE = "ami-12c6146b"  # one of those that moto has
BUCKET = "f00-123456789012-us-east-1"
SETTINGS = """\
mode: fleet
fleet:
  name: f00
  region: us-east-1
  environments:
    small: {instance_types: [m6i.large], min: 1, max: 3}
  deployment: {image: IMAGE, controller: t3.small}
"""


class Moto:
    """With what it leaves out."""

    def __init__(self) -> None:
        self._aws = BotoAws(REGION)

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if body := parameters.get("TemplateBody"):
            parameters["TemplateBody"] = body.replace("RetainExceptOnCreate", "Retain")
        reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        for change in reply.get("Changes") or () if operation == "describe_change_set" else ():
            await self._name(parameters["StackName"], change["ResourceChange"])
        return reply

    async def _name(self, stack: str, change: dict[str, Any]) -> None:
        if change["Action"] != "Add":
            found = await self._aws.call(
                "cloudformation",
                "describe_stack_resource",
                StackName=stack,
                LogicalResourceId=change["LogicalResourceId"],
            )
            change["PhysicalResourceId"] = found["StackResourceDetail"]["PhysicalResourceId"]

    async def close(self) -> None:
        await self._aws.close()


def hasty(settings: Settings) -> Settings:
    return replace(settings, agent=AgentSettings(drain=0.0))


class Site:
    settings: Settings
    fleet: FleetSettings

    def __init__(self, folder: Path, text: str = SETTINGS, services: type[Moto] = Moto) -> None:
        self.said: list[str] = []
        self._folder = folder
        self._services = services
        self.write(text)

    def write(self, text: str) -> None:
        (self._folder / "runner.yaml").write_text(text.replace("IMAGE", IMAGE))
        self.settings = load_settings(self._folder / "runner.yaml", {}, self._folder)
        assert self.settings.fleet is not None
        self.fleet = self.settings.fleet

    def deploy(self) -> None:
        async def work(aws: Moto) -> None:
            installation = Installation(aws, self.settings, self.fleet, self.said.append)
            await installation.deploy(await installation.survey())

        self._run(work)

    def destroy(self, *, delete_logs: bool = False) -> Sequence[Remnant]:
        async def work(aws: Moto) -> Sequence[Remnant]:
            removal = Removal(aws, hasty(self.settings), self.fleet, self.said.append)
            await removal.destroy(delete_logs=delete_logs)
            return await removal.present()

        left: Sequence[Remnant] = self._run(work)
        return left

    def _run(self, work: Any) -> Any:
        async def opened() -> Any:
            aws = self._services()
            try:
                return await work(aws)
            finally:
                await aws.close()

        return asyncio.run(opened())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with mock_aws():
        made = Site(tmp_path)
        made.deploy()
        yield made


def settled(folder: Path, **answers: Answer) -> tuple[Scripted, FleetSettings]:
    """Scripted services without stacks, and the fleet's settings."""
    (folder / "runner.yaml").write_text(SETTINGS.replace("IMAGE", "ami-0123456789abcdef0"))
    fleet = load_settings(folder / "runner.yaml", {}, folder).fleet
    assert fleet is not None
    replies: Mapping[str, Answer] = {
        "get_caller_identity": {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/a"},
        "describe_stacks": refused("ValidationError", "Stack with id f00 does not exist"),
        "get_bucket_tagging": {"TagSet": [{"Key": "runner-fleet", "Value": "f00"}]},
    }
    return Scripted({**replies, **answers}), fleet


def buckets() -> list[str]:
    return [each["Name"] for each in boto3.client("s3", REGION).list_buckets()["Buckets"]]


def store_a_log() -> None:
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key="logs/a", Body=b"x")


def test_logs_are_kept_unless_it_is_said_otherwise(site: Site) -> None:
    store_a_log()
    assert site.destroy() == [Remnant("bucket", BUCKET)]
    (kept,) = boto3.client("s3", REGION).list_objects_v2(Bucket=BUCKET)["Contents"]
    assert kept["Key"] == "logs/a"


def test_a_bucket_without_logs_goes_at_once(site: Site) -> None:
    assert site.destroy() == []


def test_kept_logs_can_be_removed_later(site: Site) -> None:
    store_a_log()
    site.destroy()
    assert site.destroy(delete_logs=True) == []


def test_a_fleet_can_be_deployed_again_over_kept_logs(site: Site) -> None:
    store_a_log()
    site.destroy()
    site.deploy()
    assert f"the bucket {BUCKET} is there already and used as it is" in site.said
    assert site.destroy(delete_logs=True) == []


def test_machines_that_protect_themselves_go_all_the_same(site: Site) -> None:
    groups = boto3.client("autoscaling", REGION)
    (group,) = groups.describe_auto_scaling_groups(AutoScalingGroupNames=["f00-small"])["AutoScalingGroups"]
    assert [each["ProtectedFromScaleIn"] for each in group["Instances"]] == [True]
    assert site.destroy() == []


def test_machines_of_no_group_are_ended_too(site: Site) -> None:
    ec2 = boto3.client("ec2", REGION)
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "runner-fleet", "Value": "f00"}]}]
    ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, TagSpecifications=tags)
    assert site.destroy() == []
    assert "1 machine of no group to end" in site.said


def test_where_one_stack_is_somebody_elses_nothing_is_touched(tmp_path: Path) -> None:
    theirs = {"Stacks": [{"StackName": "f00-storage", "StackStatus": "CREATE_COMPLETE"}]}
    absent = refused("ValidationError", "Stack with id f00 does not exist")
    aws, fleet = settled(tmp_path)
    aws.answers(describe_stacks=[absent, theirs])
    with pytest.raises(BadInput, match="not this fleet's"):
        asyncio.run(Removal(aws, hasty(Settings()), fleet, lambda _: None).destroy(delete_logs=True))
    assert {operation for operation, _ in aws.calls} == {"describe_stacks"}


def locked(Bucket: str, **page: Any) -> Reply:
    """A bucket of two pages, of which nothing can be deleted."""
    more = {"IsTruncated": False} if page else {"IsTruncated": True, "NextContinuationToken": "2"}
    return {"Contents": [{"Key": "logs/a"}], **more}


def test_logs_that_may_not_be_deleted_are_an_error_after_one_page(tmp_path: Path) -> None:
    refusal = {"Errors": [{"Key": "logs/a", "Code": "AccessDenied", "Message": "no"}]}
    aws, fleet = settled(tmp_path, list_objects_v2=locked, delete_objects=refusal)
    with pytest.raises(AwsError, match=f"s3:DeleteObject on {BUCKET}/logs/a failed: AccessDenied"):
        asyncio.run(Removal(aws, hasty(Settings()), fleet, lambda _: None).destroy(delete_logs=True))
    assert len(aws.given("list_objects_v2")) == 1


def test_all_pages_of_a_bucket_are_emptied(tmp_path: Path) -> None:
    aws, fleet = settled(tmp_path, list_objects_v2=locked)
    asyncio.run(Removal(aws, hasty(Settings()), fleet, lambda _: None).destroy(delete_logs=True))
    assert [each.get("ContinuationToken") for each in aws.given("list_objects_v2")] == [None, "2", None]


def test_an_environment_with_machines_is_not_taken_away(site: Site) -> None:
    site.write(SETTINGS.replace("small: {", "other: {"))
    with pytest.raises(Conflict, match="f00-small has 1 instance: let them end their tasks"):
        site.deploy()
    groups = boto3.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {"f00-small"} <= {group["AutoScalingGroupName"] for group in groups}
