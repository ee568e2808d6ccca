"""Who may do what."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.deployment.policies import Policies
from controller.deployment.statements import Statement, document
from runner.batch_settings import BatchQueue, BatchSettings, job_queues
from runner.emr_settings import EmrSettings
from runner.routing import Routes
from runner.settings import QueueSettings
from tests.deploy.sample import SITE, batch_settings, fleet, policies, settings
from tests.deploy.sample import fleet_of as sample_fleet
from tests.fleets import environment, fleet_of

EMR = EmrSettings("shards", "us-east-1")


def on_aws_batch() -> Policies:
    settings = batch_settings()
    return replace(Policies.of(settings, sample_fleet(settings), SITE), emr=EMR)


PARTS = {
    "agent": policies().agent(),
    "controller": policies().controller(),
    "user": policies().user(),
    "controller on AWS Batch": on_aws_batch().controller(),
    "user of AWS Batch": on_aws_batch().user(),
    "instance of AWS Batch": on_aws_batch().batch_instance(),
    "execution on AWS Batch": on_aws_batch().batch_execution(),
}
every_part = pytest.mark.parametrize("part", PARTS)


def of(statements: Sequence[Statement], action: str) -> Statement:
    (found,) = [each for each in statements if action in each["Action"]]
    return found


@every_part
def test_no_right_is_given_by_a_pattern_of_actions(part: str) -> None:
    assert "*" not in json.dumps([each["Action"] for each in PARTS[part]])


@every_part
def test_only_looking_reporting_and_signing_in_are_allowed_everywhere(part: str) -> None:
    anywhere = [action for each in PARTS[part] if each["Resource"] == ["*"] for action in each["Action"]]
    # Of clusters none can be named before it is there: a condition says whose they must be.
    harmless = re.compile(
        r"(autoscaling|batch|ec2):(Describe|List)\w+|elasticmapreduce:(ListClusters|RunJobFlow)"
        r"|ec[rs]:(GetAuthorizationToken|DiscoverPollEndpoint)|cloudwatch:PutMetricData"
    )
    assert [action for action in anywhere if not harmless.fullmatch(action)] == []


def test_metrics_are_of_our_own_namespace() -> None:
    report = of(PARTS["controller"], "cloudwatch:PutMetricData")
    assert report["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Runner"}}


def test_agents_take_from_their_fleets_queues_only() -> None:
    names = {arn.rpartition(":")[2] for arn in of(PARTS["agent"], "sqs:ReceiveMessage")["Resource"]}
    assert names == {fleet().queue_name(channel) for channel in Routes.of(settings()).channels}


def test_agents_cannot_read_dead_letters() -> None:
    quarantine = of([each for each in PARTS["agent"] if each["Sid"] == "Quarantine"], "sqs:SendMessage")
    assert "sqs:ReceiveMessage" not in quarantine["Action"]


def test_agents_write_logs_and_no_other_objects() -> None:
    assert of(PARTS["agent"], "s3:PutObject")["Resource"] == [f"{policies().bucket}/logs/*"]


def test_agents_touch_groups_of_their_fleet_only() -> None:
    leave = of(PARTS["agent"], "autoscaling:TerminateInstanceInAutoScalingGroup")
    assert leave["Condition"] == {"StringEquals": {"aws:ResourceTag/runner-fleet": "shards"}}
    assert all(re.search(r"autoScalingGroupName/shards-\w+$", arn) for arn in leave["Resource"])


def test_agents_take_roles_that_are_named_for_tasks_only() -> None:
    assert of(PARTS["agent"], "sts:AssumeRole")["Resource"] == [
        "arn:aws:iam::123456789012:role/shards-task-*"
    ]


def test_agents_read_secrets_of_their_fleet_only() -> None:
    secrets = of(PARTS["agent"], "secretsmanager:GetSecretValue")
    assert secrets["Resource"] == ["arn:aws:secretsmanager:us-east-1:123456789012:secret:shards/*"]


def test_users_start_no_machines() -> None:
    assert "autoscaling:SetDesiredCapacity" not in json.dumps(PARTS["user"])


def test_the_controller_lends_roles_of_tasks_only_and_to_tasks_only() -> None:
    lend = of([each for each in on_aws_batch().controller() if each["Sid"] == "LendRoles"], "iam:PassRole")
    role = "arn:aws:iam::123456789012:role/shards"
    assert lend["Resource"] == [f"{role}-batch-execution", f"{role}-task-*"]
    assert lend["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def test_jobs_are_submitted_to_the_fleets_own_queues_with_its_own_definitions() -> None:
    arn = "arn:aws:batch:us-east-1:123456789012"
    assert of(on_aws_batch().controller(), "batch:SubmitJob")["Resource"] == [
        f"{arn}:job-definition/shards-*",
        f"{arn}:job-queue/shards-default",
        f"{arn}:job-queue/shards-big",
    ]


def test_the_controller_reads_items_where_it_hands_them_over_itself() -> None:
    manifests = f"{policies().bucket}/manifests/*"
    assert manifests in of(on_aws_batch().controller(), "s3:GetObject")["Resource"]


def test_instances_of_aws_batch_serve_clusters_of_their_fleet_only() -> None:
    arn = "arn:aws:ecs:us-east-1:123456789012"
    instance = on_aws_batch().batch_instance()
    assert of(instance, "ecs:RegisterContainerInstance")["Resource"] == [f"{arn}:cluster/AWSBatch-shards-*"]
    assert of(instance, "ecs:Poll")["Resource"] == [f"{arn}:container-instance/AWSBatch-shards-*/*"]


def test_tasks_on_aws_batch_reach_no_more_through_their_instance_than_images_and_logs() -> None:
    services = {
        action.partition(":")[0] for each in on_aws_batch().batch_instance() for action in each["Action"]
    }
    assert services == {"ecs", "ec2", "ecr", "logs"}


def crowd(queues: int, environments: int = 1) -> Policies:
    """A fleet with so many, all names as long as they may be, on AWS Batch and Amazon EMR beside."""
    names = [f"{number:03}{'e' * 29}" for number in range(environments)]
    known = {name: environment(name, "m6i.large", "m6i.xlarge") for name in names}
    named = {f"{number:03}{'q' * 38}": QueueSettings(0, tuple(names)) for number in range(queues)}
    fleet = replace(
        fleet_of(*known.values(), log_group="g" * 512),
        name="f" * 32,
        table="t" * 255,
        bucket="b" * 63,
        region="ap-southeast-2",
        queues=named,
    )
    batch = BatchSettings(fleet.name, fleet.region, job_queues(fleet.name, named), log_group="l" * 512)
    emr = EmrSettings(fleet.name, fleet.region)
    return Policies(fleet, SITE, Routes(fleet, settings().agent), batch=batch, emr=emr)


def size(statements: Sequence[Statement]) -> int:
    return len(json.dumps(document(statements), separators=(",", ":")))


@pytest.mark.parametrize("queues", [1, 10, 20, 40, 60, 100, 300])
@pytest.mark.parametrize("environments", [1, 50])
def test_however_many_queues_there_are_what_policies_may_take_is_enough(
    queues: int, environments: int
) -> None:
    crowded = crowd(queues, environments)
    assert size(crowded.user()) <= 6_144
    assert size(crowded.agent()) <= 10_240
    assert size(crowded.controller()) <= 10_240


def test_more_job_queues_of_the_users_own_than_can_be_named_are_not() -> None:
    theirs = {f"q{number}": BatchQueue(f"{number:03}{'x' * 100}") for number in range(200)}
    batch = BatchSettings("shards", "us-east-1", theirs)
    found = replace(on_aws_batch(), batch=batch).controller()
    assert size(found) <= 10_240
    assert of(found, "batch:SubmitJob")["Resource"][1:] == [
        "arn:aws:batch:us-east-1:123456789012:job-queue/*"
    ]


def resources(statements: Sequence[Statement], action: str) -> Sequence[str]:
    return [arn.rpartition(":")[2] for arn in of(statements, action)["Resource"]]


def test_few_queues_are_named_one_by_one() -> None:
    crowded = crowd(3)
    names = {crowded.fleet.queue_name(channel) for channel in crowded.routes.channels}
    assert set(resources(crowded.agent(), "sqs:DeleteMessage")) == names


def test_more_of_them_are_named_by_their_beginnings() -> None:
    fleet = fleet_of(*(environment(f"e{cpus}", f"m6i.{cpus}xlarge") for cpus in (2, 4, 8, 12, 16, 24, 32)))
    crowded = replace(
        fleet,
        queues={
            f"{number:02}{'q' * 40}": QueueSettings(0, tuple(fleet.environments)) for number in range(15)
        },
    )
    found = Policies(crowded, SITE, Routes(crowded, settings().agent)).agent()
    names = resources(found, "sqs:DeleteMessage")
    assert len(names) == 15
    assert names[0] == f"f-00{'q' * 40}-*"


def test_queues_too_many_for_that_are_known_by_the_fleets_tag() -> None:
    found = of(crowd(100).agent(), "sqs:DeleteMessage")
    assert found["Condition"] == {"StringEquals": {"aws:ResourceTag/runner-fleet": "f" * 32}}
    assert [arn.rpartition(":")[2] for arn in found["Resource"]] == [f"{'f' * 32}-*"]


@pytest.mark.parametrize("part", ["controller", "user"])
def test_only_agents_take_tasks_off_queues(part: str) -> None:
    for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"):
        assert resources(PARTS[part], action) == ["shards-dead-letters"]


def test_agents_do_not_look_how_deep_queues_are_nor_list_records() -> None:
    assert not {"sqs:GetQueueAttributes", "dynamodb:Query"} & {
        action for each in PARTS["agent"] for action in each["Action"]
    }


def test_the_controller_reads_no_manifests() -> None:
    assert of(PARTS["controller"], "s3:GetObject")["Resource"] == [f"{policies().bucket}/deploy/*"]


def test_in_china_everything_is_of_another_partition() -> None:
    arns = json.dumps(policies(replace(SITE, partition="aws-cn")).agent())
    assert "arn:aws-cn:" in arns
    assert "arn:aws:" not in arns
