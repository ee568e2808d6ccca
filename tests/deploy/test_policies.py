"""Who may do what."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.deployment.policies import Policies, Statement
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


@pytest.mark.parametrize("part", ["agent", "controller"])
def test_a_roles_policy_stays_small_enough_however_many_queues_there_are(part: str) -> None:
    queues = {f"queue-{number}": QueueSettings(0, ("a",)) for number in range(100)}
    crowded = replace(fleet_of(environment("a", "m6i.large")), queues=queues)
    crowd = Policies(crowded, SITE, Routes(crowded, settings().agent))
    assert len(json.dumps(getattr(crowd, part)()).replace(" ", "")) < 10_240


def test_in_china_everything_is_of_another_partition() -> None:
    arns = json.dumps(policies(replace(SITE, partition="aws-cn")).agent())
    assert "arn:aws-cn:" in arns
    assert "arn:aws:" not in arns
