"""What `doctor` says of what is missing, forbidden or wrong. Scripted replies, after the services' documents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from controller.deployment.diagnosis import examine
from controller.deployment.findings import Finding, Findings
from controller.deployment.limit_checks import ON_DEMAND, SPOT, wanted
from controller.deployment.rights_checks import check_rights
from controller.simulation.services.service import refused
from runner.aws import AwsError, Trouble
from tests.deploy.sample import fleet, policies, settings
from tests.deploy.scripted import Answer, Scripted

NOW = 1_700_000_000.0
CALLER = {
    "Account": "123456789012",
    "Arn": "arn:aws:sts::123456789012:assumed-role/Admin/me",
    "ResponseMetadata": {"HTTPHeaders": {"date": "Tue, 14 Nov 2023 22:13:20 GMT"}},
}
STACK = {
    "Stacks": [
        {
            "StackName": "shards",
            "StackStatus": "UPDATE_COMPLETE",
            "Tags": [{"Key": "runner-fleet", "Value": "shards"}],
        }
    ]
}
TABLE = {"Table": {"KeySchema": [{"AttributeName": "pk"}, {"AttributeName": "sk"}], "TableStatus": "ACTIVE"}}
ALLOWED = {
    "EvaluationResults": [{"EvalActionName": "x:Y", "EvalResourceName": "*", "EvalDecision": "allowed"}]
}


def group(name: str) -> dict[str, Any]:
    environment = fleet().environments.get(name.removeprefix("shards-"))
    return {
        "AutoScalingGroupName": name,
        "MinSize": environment.minimum if environment else 1,
        "MaxSize": environment.maximum if environment else 1,
        "NewInstancesProtectedFromScaleIn": True,
        "SuspendedProcesses": [{"ProcessName": "AZRebalance"}],
        "Instances": [{"LifecycleState": "InService"}],
    }


def groups(AutoScalingGroupNames: list[str], **more: Any) -> Mapping[str, Any]:
    return {"AutoScalingGroups": [group(name) for name in AutoScalingGroupNames]}


WELL: Mapping[str, Answer | list[Answer]] = {
    "get_caller_identity": CALLER,
    "describe_stacks": STACK,
    "describe_table": TABLE,
    "describe_time_to_live": {
        "TimeToLiveDescription": {"AttributeName": "expires", "TimeToLiveStatus": "ENABLED"}
    },
    "describe_log_groups": {"logGroups": [{"logGroupName": "/shards/tasks"}]},
    "get_queue_url": lambda QueueName: {"QueueUrl": f"https://sqs/1/{QueueName}"},
    "get_queue_attributes": {"Attributes": {"RedrivePolicy": '{"maxReceiveCount":1000}'}},
    "describe_auto_scaling_groups": groups,
    "get_role": {"Role": {"Arn": "arn:aws:iam::123456789012:role/teams/Admin"}},
    "simulate_principal_policy": ALLOWED,
    "get_service_quota": {"Quota": {"Value": 5000.0}},
}


def findings(environ: Mapping[str, str] | None = None, **changed: Answer) -> list[Finding]:
    found = Findings(lambda _: None)
    work = examine(Scripted({**WELL, **changed}), settings(), fleet(), found, lambda: NOW, environ or {})
    asyncio.run(work)
    return found.all


def problems(**changed: Answer) -> dict[str, Finding]:
    return {each.subject: each for each in findings(**changed) if each.status == "problem"}


def denied(action: str, resource: str) -> AwsError:
    return AwsError(action, resource, "AccessDenied", "no", Trouble.DENIED)


def test_where_all_is_well_nothing_is_found() -> None:
    assert [each for each in findings() if each.status != "ok"] == []


def test_credentials_that_do_not_work_are_all_there_is_to_say() -> None:
    expired = AwsError("sts:GetCallerIdentity", "", "ExpiredToken", "expired", Trouble.DENIED)
    found = findings(get_caller_identity=expired)
    assert [each.subject for each in found if each.status == "problem"] == ["credentials"]
    assert "AWS_PROFILE" in found[-1].step


@pytest.mark.parametrize(("date", "told"), [("22:08:20", "300 s ahead"), ("22:18:20", "300 s behind")])
def test_a_clock_that_is_off_is_named_with_how_far(date: str, told: str) -> None:
    headers = {"HTTPHeaders": {"date": f"Tue, 14 Nov 2023 {date} GMT"}}
    found = problems(get_caller_identity={**CALLER, "ResponseMetadata": headers})
    assert told in found["clock"].detail


def test_a_clock_so_wrong_that_aws_refuses_is_not_blamed_on_credentials() -> None:
    found = problems(get_caller_identity=refused("RequestTimeTooSkewed"))
    assert "timedatectl" in found["credentials"].step


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
def test_a_wrong_secret_is_not_blamed_on_the_clock(code: str) -> None:
    told = "The request signature we calculated does not match the signature you provided."
    assert "AWS_PROFILE" in problems(get_caller_identity=refused(code, told))["credentials"].step


@pytest.mark.parametrize(
    "told",
    [
        "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z",
        "Signature not yet current: 20260101T001000Z is still later than 20260101T000500Z",
    ],
)
def test_a_signature_of_another_time_is_blamed_on_the_clock(told: str) -> None:
    found = problems(get_caller_identity=refused("SignatureDoesNotMatch", told))
    assert "timedatectl" in found["credentials"].step


def test_another_region_in_the_shell_is_pointed_out() -> None:
    (region,) = [each for each in findings({"AWS_REGION": "eu-west-1"}) if each.subject == "region"]
    assert "your shell says eu-west-1" in region.detail


def test_a_missing_stack_may_be_in_another_region() -> None:
    found = problems(describe_stacks=refused("ValidationError", "Stack with id shards does not exist"))
    assert "fleet.region" in found["stack shards"].step


def test_a_missing_table_is_named() -> None:
    found = problems(describe_table=refused("ResourceNotFoundException"))
    assert found["table shards"].detail == "is not in us-east-1"


def test_a_table_of_another_kind_is_named() -> None:
    table = {"Table": {"KeySchema": [{"AttributeName": "id"}], "TableStatus": "ACTIVE"}}
    assert "not pk and sk" in problems(describe_table=table)["table shards"].detail


def test_a_missing_bucket_is_named() -> None:
    assert (
        problems(head_bucket=refused("404"))["bucket shards-123456789012-us-east-1"].detail
        == "does not exist"
    )


def test_a_bucket_in_another_region_is_named() -> None:
    found = problems(head_bucket=refused("301"))
    assert "in another region" in found["bucket shards-123456789012-us-east-1"].detail


@pytest.mark.parametrize(
    "reply",
    [
        {"BucketRegion": "eu-west-1"},
        {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}}},
    ],
)
def test_a_bucket_that_answers_from_another_region_is_named(reply: Mapping[str, Any]) -> None:
    found = problems(head_bucket=reply)
    assert "is in eu-west-1, the fleet in us-east-1" in found["bucket shards-123456789012-us-east-1"].detail


def test_a_bucket_in_the_fleets_region_is_well() -> None:
    assert problems(head_bucket={"BucketRegion": "us-east-1"}) == {}


def test_each_missing_queue_is_named() -> None:
    found = problems(get_queue_url=refused("AWS.SimpleQueueService.NonExistentQueue"))
    assert {"queue shards-default-4x16", "queue shards-dead-letters"} <= found.keys()


def test_a_queue_that_gives_up_too_soon_is_named() -> None:
    found = problems(get_queue_attributes={"Attributes": {"RedrivePolicy": '{"maxReceiveCount":3}'}})
    assert "queue shards-default-4x16" in found
    assert "queue shards-dead-letters" not in found


def test_a_missing_group_is_named() -> None:
    assert "group shards-spot" in problems(describe_auto_scaling_groups={"AutoScalingGroups": []})


def test_a_group_that_may_end_busy_machines_is_named() -> None:
    def careless(AutoScalingGroupNames: list[str], **more: Any) -> Mapping[str, Any]:
        found = [group(name) for name in AutoScalingGroupNames]
        return {"AutoScalingGroups": [{**each, "SuspendedProcesses": []} for each in found]}

    found = problems(describe_auto_scaling_groups=careless)
    assert found["group shards-spot"].detail == "may end busy instances to rebalance zones"


def test_a_fleet_without_a_controller_is_named() -> None:
    def headless(AutoScalingGroupNames: list[str], **more: Any) -> Mapping[str, Any]:
        return {"AutoScalingGroups": [{**group(name), "Instances": []} for name in AutoScalingGroupNames]}

    found = problems(describe_auto_scaling_groups=headless)
    assert "nobody supervises" in found["group shards.controller"].detail


def test_a_missing_permission_is_named_with_its_resource() -> None:
    refusal = {
        "EvaluationResults": [
            {"EvalActionName": "sqs:SendMessage", "EvalResourceName": "q", "EvalDecision": "implicitDeny"}
        ]
    }
    found = problems(simulate_principal_policy=refusal)
    assert "sqs:SendMessage on q" in found["your permissions to use the fleet"].detail


def test_a_denied_look_is_a_missing_permission_too() -> None:
    found = problems(describe_table=denied("dynamodb:DescribeTable", "shards"))
    assert found["table shards"].detail == "you may not dynamodb:DescribeTable on shards (AccessDenied)"


def test_where_iam_says_nothing_calls_that_change_nothing_are_tried() -> None:
    aws = Scripted(
        {
            **WELL,
            "simulate_principal_policy": denied("iam:SimulatePrincipalPolicy", ""),
            "put_item": denied("dynamodb:PutItem", "shards"),
            "create_launch_template": refused("DryRunOperation"),
        }
    )
    found = Findings(lambda _: None)
    asyncio.run(check_rights(aws, CALLER["Arn"], policies(), None, found))
    assert {each.subject: each.status for each in found.all} == {
        "permissions": "unknown",
        "permission dynamodb:PutItem": "problem",
        "permission ec2:CreateLaunchTemplate": "ok",
    }
    (put,) = aws.given("put_item")
    assert put["ConditionExpression"] == "attribute_exists(pk) AND attribute_not_exists(pk)"
    assert aws.given("create_launch_template")[0]["DryRun"] is True


def test_a_role_is_asked_about_by_its_own_name_and_path() -> None:
    aws = Scripted(WELL)
    asyncio.run(check_rights(aws, CALLER["Arn"], policies(), None, Findings(lambda _: None)))
    asked = {each["PolicySourceArn"] for each in aws.given("simulate_principal_policy")}
    assert asked == {"arn:aws:iam::123456789012:role/teams/Admin"}


def test_a_quota_that_is_too_small_is_named_with_both_numbers() -> None:
    found = problems(get_service_quota={"Quota": {"Value": 32.0}})
    spot = found["quota All Standard Spot Instance Requests"]
    assert spot.detail == "is 32 vCPUs; the fleet may use 248"


def test_an_unknown_quota_is_no_problem() -> None:
    assert problems(get_service_quota=denied("service-quotas:GetServiceQuota", "")) == {}


def test_the_vcpus_that_a_fleet_may_use_are_counted_by_market() -> None:
    # spot 50 x 4; steady 10 x 4; large 4 x 16, one and a fifth of the others on demand; the controller 2
    assert wanted(settings(), fleet()) == {ON_DEMAND: 40 + 2 * 16 + 2, SPOT: 200 + 3 * 16}
