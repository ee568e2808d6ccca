"""`deploy` and `destroy` as a person types them, against moto within the process.

Emulated: moto makes every resource of the stacks, instances as records. It knows no lifecycle hooks, no time to live,
no protection of tables; it checks no permissions. That the hooks and the rest are asked for: `test_template.py`. It
takes a bucket along with its stack: what happens to logs is in `test_removal.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws
from moto.cloudformation.models import cloudformation_backends

from controller.cli.main import cli

REGION = "us-east-1"
IMAGE = "ami-12c6146b"  # one of those that moto has
ACCOUNT = "123456789012"
BUCKET = f"f00-{ACCOUNT}-{REGION}"
SETTINGS = f"""\
mode: fleet
fleet:
  name: f00
  region: {REGION}
  log_group: /f00/tasks
  environments:
    small: {{instance_types: [m6i.large], max: 3}}
    large: {{instance_types: [r6i.4xlarge], market: on_demand, min: 1, max: 2}}
  deployment:
    image: IMAGE
    controller: t3.small
"""


# More than a request to CloudFormation takes.
MANY = "environments:\n" + "\n".join(f"    e{number}: {{instance_types: [m6i.large]}}" for number in range(7))


class Person:
    """At a terminal, in a directory of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "runner.yaml"

    def write(self, text: str) -> None:
        self.settings.write_text(text.replace("IMAGE", IMAGE))

    def types(self, *arguments: str, answer: str | None = None) -> Result:
        environment = {"RUNNER_HOME": str(self.folder / "home"), "RUNNER_CONFIG": str(self.settings)}
        return CliRunner(env=environment).invoke(cli, arguments, input=answer)

    def succeeds(self, *arguments: str) -> str:
        done = self.types(*arguments)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with mock_aws():
        made = Person(tmp_path)
        made.write(SETTINGS)
        yield made


@pytest.fixture
def deployed(person: Person) -> Person:
    person.succeeds("deploy")
    return person


def client(service: str) -> Any:
    return boto3.client(service, REGION)


def groups() -> dict[str, Any]:
    found = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {group["AutoScalingGroupName"]: group for group in found}


def test_deploying_makes_what_the_settings_ask_for(deployed: Person) -> None:
    assert set(groups()) == {"f00-small", "f00-large", "f00.controller"}
    assert client("dynamodb").list_tables()["TableNames"] == ["f00"]
    queues = {url.rpartition("/")[2] for url in client("sqs").list_queues()["QueueUrls"]}
    assert queues == {
        "f00-dead-letters",
        "f00-default-2x8",
        "f00-default-16x128",
        "f00-default-16x128-od",
    }


def test_the_program_and_the_settings_are_in_the_bucket(deployed: Person) -> None:
    keys = [each["Key"] for each in client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    names = {key.rpartition("/")[2] for key in keys}
    assert {"files", "constraints.txt", "runner.yaml"} < names
    assert any(name.endswith(".whl") for name in names)


def test_the_groups_do_not_end_machines_to_rebalance(deployed: Person) -> None:
    suspended = {
        name: [each["ProcessName"] for each in group["SuspendedProcesses"]]
        for name, group in groups().items()
    }
    assert suspended["f00-small"] == suspended["f00-large"] == ["AZRebalance"]


def test_deploying_again_changes_nothing(deployed: Person) -> None:
    told = deployed.succeeds("deploy")
    assert "f00: nothing to change" in told
    assert "f00-storage: nothing to change" in told


def test_deploying_again_changes_what_differs(deployed: Person) -> None:
    deployed.write(SETTINGS.replace("max: 3", "max: 5"))
    deployed.succeeds("deploy")
    assert groups()["f00-small"]["MaxSize"] == 5


def test_a_dry_run_shows_a_change_and_makes_none(deployed: Person) -> None:
    deployed.write(SETTINGS.replace("max: 3", "max: 5"))
    told = deployed.succeeds("deploy", "--dry-run")
    assert "Groupsmall" in told
    assert groups()["f00-small"]["MaxSize"] == 3


def keys() -> list[str]:
    return [each["Key"] for each in client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]


def test_a_dry_run_leaves_the_bucket_as_it_was(deployed: Person) -> None:
    deployed.write(SETTINGS.replace("max: 3", "max: 5").replace("environments:", MANY))
    before = keys()
    told = deployed.succeeds("deploy", "--dry-run")
    assert "Groupe6" in told
    assert keys() == before


def test_a_dry_run_leaves_what_a_failed_try_left(person: Person) -> None:
    client("cloudformation").create_stack(
        StackName="f00", TemplateBody='{"Resources": {}}', Tags=[{"Key": "runner-fleet", "Value": "f00"}]
    )
    backend = cloudformation_backends[ACCOUNT][REGION]
    (stack,) = backend.stacks.values()
    stack.status = "ROLLBACK_COMPLETE"
    assert "f00: would be made" in person.succeeds("deploy", "--dry-run")
    assert list(backend.stacks.values()) == [stack]


def test_a_dry_run_before_the_first_deploy_leaves_nothing_behind(person: Person) -> None:
    assert "f00: would be made" in person.succeeds("deploy", "--dry-run")
    assert client("cloudformation").list_stacks()["StackSummaries"] == []
    assert client("s3").list_buckets()["Buckets"] == []


def test_the_templates_can_be_had_as_files(person: Person) -> None:
    person.succeeds("deploy", "--dry-run", "--templates", str(person.folder / "t"))
    assert {path.name for path in (person.folder / "t").iterdir()} == {"f00.yaml", "f00-storage.yaml"}


def test_a_bucket_that_is_there_already_is_used_and_not_taken_over(person: Person) -> None:
    client("s3").create_bucket(Bucket="ours")
    person.write(SETTINGS + "  bucket: ours\n")
    assert "the bucket ours is there already and used as it is" in person.succeeds("deploy")
    told = person.succeeds("destroy", "--yes", "--delete-logs")
    assert "was not made by `deploy` and stays" in told
    assert [each["Name"] for each in client("s3").list_buckets()["Buckets"]] == ["ours"]


def test_a_table_of_that_name_that_is_not_the_fleets_is_named_before_anything_is_made(person: Person) -> None:
    key = {"AttributeName": "id", "KeyType": "HASH"}
    client("dynamodb").create_table(
        TableName="f00",
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    refused = person.types("deploy")
    assert refused.exit_code == 2
    assert "fleet.table: there is a table f00 already that is not this fleet's" in refused.output
    assert client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_log_group_of_that_name_that_is_not_the_fleets_is_named_before_anything_is_made(
    person: Person,
) -> None:
    client("logs").create_log_group(logGroupName="/f00/tasks")
    refused = person.types("deploy")
    assert refused.exit_code == 2
    assert "fleet.log_group: there is a log group /f00/tasks already" in refused.output
    assert client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_stack_of_somebody_elses_is_not_taken_over(person: Person) -> None:
    body = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}})
    client("cloudformation").create_stack(StackName="f00-storage", TemplateBody=body)
    refused = person.types("deploy")
    assert refused.exit_code == 2
    assert "there is a stack f00-storage already that is not this fleet's" in refused.output


def test_destroying_leaves_nothing(deployed: Person) -> None:
    told = deployed.succeeds("destroy", "--yes", "--delete-logs")
    assert told.endswith("nothing is left that costs money\n")
    assert groups() == {}
    assert client("dynamodb").list_tables()["TableNames"] == []
    assert client("s3").list_buckets()["Buckets"] == []


def test_destroying_asks_for_the_name_first(deployed: Person) -> None:
    refused = deployed.types("destroy", answer="f0\n")
    assert refused.exit_code == 2
    assert "nothing was removed" in refused.output
    assert "f00-large" in groups()


def test_the_right_name_will_do(deployed: Person) -> None:
    assert deployed.types("destroy", answer="f00\n").exit_code == 0
    assert groups() == {}


def test_a_queue_of_another_fleet_with_a_longer_name_is_not_counted_or_touched(deployed: Person) -> None:
    client("sqs").create_queue(QueueName="f00-bar-default", tags={"runner-fleet": "f00-bar"})
    told = deployed.succeeds("destroy", "--yes", "--delete-logs")
    assert "f00-bar-default" not in told
    assert len(client("sqs").list_queues()["QueueUrls"]) == 1


def test_what_is_left_behind_is_named_and_is_a_failure(deployed: Person) -> None:
    volume = client("ec2").create_volume(
        AvailabilityZone=f"{REGION}a",
        Size=8,
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "runner-fleet", "Value": "f00"}]}],
    )
    done = deployed.types("destroy", "--yes", "--delete-logs")
    assert done.exit_code == 1
    assert f"volume {volume['VolumeId']}" in done.output


def test_an_image_that_is_not_there_is_named(person: Person) -> None:
    person.settings.write_text(SETTINGS.replace("IMAGE", "ami-0123456789abcdef0"))
    refused = person.types("deploy")
    assert refused.exit_code == 3
    assert "fleet.deployment.image: there is no image ami-0123456789abcdef0" in refused.output


def test_subnets_of_two_networks_are_refused(person: Person) -> None:
    ec2 = client("ec2")
    subnets = []
    for net in ("10.1.0.0/16", "10.2.0.0/16"):
        vpc = ec2.create_vpc(CidrBlock=net)["Vpc"]["VpcId"]
        subnets.append(ec2.create_subnet(VpcId=vpc, CidrBlock=net)["Subnet"]["SubnetId"])
    person.write(SETTINGS + f"    subnets: [{', '.join(subnets)}]\n")
    refused = person.types("deploy")
    assert refused.exit_code == 2
    assert "fleet.deployment.subnets: must be of one VPC" in refused.output
