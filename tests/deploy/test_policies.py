"""Who may do what."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.deployment.policies import Policies, Statement, document
from runner.routing import Routes
from runner.settings import QueueSettings
from tests.deploy.sample import SITE, fleet, policies, settings
from tests.fleets import environment, fleet_of

PARTS = {"agent": policies().agent(), "controller": policies().controller(), "user": policies().user()}
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
    harmless = re.compile(r"autoscaling:Describe\w+|ecr:GetAuthorizationToken|cloudwatch:PutMetricData")
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


def crowd(queues: int, environments: int = 1) -> Policies:
    """A fleet with so many, all names as long as they may be."""
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
    return Policies(fleet, SITE, Routes(fleet, settings().agent))


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
