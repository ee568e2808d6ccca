"""What `doctor` says of AWS Batch and Amazon EMR. The services are scripted, each fault by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.deployment.batch_checks import check_batch, check_linked_roles
from controller.deployment.diagnosis import examine_backends
from controller.deployment.emr_checks import check_emr
from controller.deployment.findings import Finding, Findings
from controller.deployment.limit_checks import ON_DEMAND, SPOT, wanted
from controller.deployment.policies import Policies
from controller.deployment.rights_checks import check_rights
from controller.deployment.stacks import Stack
from controller.simulation.services.service import refused
from runner.aws import AwsError, Trouble
from runner.batch_settings import LOG_GROUP, BatchQueue, BatchSettings
from runner.emr_settings import EmrSettings
from runner.settings import Settings
from tests.deploy.sample import SITE, batch_settings, fleet_of
from tests.deploy.scripted import Answer, Scripted

CALLER = "arn:aws:iam::123456789012:user/a"
SETTINGS = batch_settings()
FLEET = fleet_of(SETTINGS)
EMR = EmrSettings("shards", "us-east-1", subnet="subnet-1", log_uri="s3://our-logs/emr/")

BOUNDS = {"shards-spot": 200, "shards-steady": 40, "shards--steady-large": 32, "shards-large": 32}
ORDER = {
    "shards-default": ["shards-spot", "shards-steady"],
    "shards-big": ["shards--steady-large", "shards-large"],
}


def an_environment(name: str, **changed: Any) -> Mapping[str, Any]:
    resources = {"minvCpus": 0, "maxvCpus": BOUNDS[name], "desiredvCpus": 8}
    found = {"computeEnvironmentName": name, "state": "ENABLED", "status": "VALID", "statusReason": "fine"}
    return {**found, "computeResources": resources, **changed}


def environments(computeEnvironments: list[str], **changed: Any) -> Mapping[str, Any]:
    return {"computeEnvironments": [an_environment(name, **changed) for name in computeEnvironments]}


def a_queue(name: str, **changed: Any) -> Mapping[str, Any]:
    arn = "arn:aws:batch:us-east-1:123456789012:compute-environment/"
    order = [
        {"order": number, "computeEnvironment": f"{arn}{each}"}
        for number, each in enumerate(ORDER.get(name, ["theirs"]), start=1)
    ]
    found = {"jobQueueName": name, "state": "ENABLED", "status": "VALID"}
    return {**found, "computeEnvironmentOrder": order, **changed}


def queues(jobQueues: list[str], **changed: Any) -> Mapping[str, Any]:
    return {"jobQueues": [a_queue(name, **changed) for name in jobQueues]}


WELL: Mapping[str, Answer | list[Answer]] = {
    "get_caller_identity": {"Account": "123456789012", "Arn": CALLER},
    "describe_compute_environments": environments,
    "describe_job_queues": queues,
    "get_role": {"Role": {}},
    "describe_log_groups": {"logGroups": [{"logGroupName": LOG_GROUP, "retentionInDays": 30}]},
}


def found_by(work: Any, **changed: Answer) -> dict[str, Finding]:
    findings = Findings(lambda _: None)
    asyncio.run(work(Scripted({**WELL, **changed}), findings))
    return {each.subject: each for each in findings.all}


def batch(settings: BatchSettings | None = None, **changed: Answer) -> dict[str, Finding]:
    given = settings or SETTINGS.batch
    assert given is not None
    batch = given.in_account_of(CALLER)
    return found_by(lambda aws, findings: check_batch(aws, batch, FLEET, findings), **changed)


def linked(**changed: Answer) -> dict[str, Finding]:
    return found_by(lambda aws, findings: check_linked_roles(aws, SETTINGS, findings), **changed)


def emr(**changed: Answer) -> dict[str, Finding]:
    return found_by(lambda aws, findings: check_emr(aws, EMR, findings), **changed)


def test_without_a_fleet_nobody_is_told_to_deploy() -> None:
    absent = refused("NoSuchEntity")
    settings = Settings(emr=EMR)
    found = found_by(lambda aws, findings: check_linked_roles(aws, settings, findings), get_role=absent)
    (role,) = found.values()
    assert role.step.startswith("`aws iam create-service-linked-role")


def denied(action: str) -> AwsError:
    return AwsError(action, "", "AccessDenied", "no", Trouble.DENIED)


def test_where_all_is_well_all_of_it_is_named_and_nothing_found() -> None:
    found = {**batch(), **linked(), **emr()}
    assert [each for each in found.values() if each.status != "ok"] == []
    assert found.keys() == {
        *(f"compute environment {name}" for name in BOUNDS),
        *(f"job queue {name}" for name in ORDER),
        "role shards-batch-execution",
        "role AWSServiceRoleForBatch",
        "role AWSServiceRoleForECS",
        "role AWSServiceRoleForEC2Spot",
        "EMR service role EMR_DefaultRole",
        "EMR instance profile EMR_EC2_DefaultRole",
        "EMR subnet subnet-1",
        "EMR log bucket our-logs",
        "Amazon EMR",
    }


def test_a_missing_environment_is_named() -> None:
    found = batch(describe_compute_environments={"computeEnvironments": []})
    assert found["compute environment shards-spot"].detail == "is not in us-east-1"


def test_an_invalid_environment_is_named_with_the_reason() -> None:
    def invalid(computeEnvironments: list[str]) -> Mapping[str, Any]:
        return environments(computeEnvironments, status="INVALID", statusReason="CLIENT_ERROR - no such role")

    found = batch(describe_compute_environments=invalid)
    detail = found["compute environment shards-spot"].detail
    assert detail == "is ENABLED and INVALID: CLIENT_ERROR - no such role"


def test_an_environment_with_other_bounds_is_named_with_both() -> None:
    def small(computeEnvironments: list[str]) -> Mapping[str, Any]:
        return environments(computeEnvironments, computeResources={"minvCpus": 0, "maxvCpus": 16})

    found = batch(describe_compute_environments=small)
    detail = found["compute environment shards-spot"].detail
    assert detail == "has bounds 0 to 16 vCPUs, not 0 to 200"


def test_an_environment_that_is_being_changed_is_well() -> None:
    def changing(computeEnvironments: list[str]) -> Mapping[str, Any]:
        return environments(computeEnvironments, status="UPDATING")

    assert batch(describe_compute_environments=changing)["compute environment shards-spot"].status == "ok"


def test_a_missing_queue_is_named() -> None:
    found = batch(describe_job_queues={"jobQueues": []})
    assert "runner-controller deploy" in found["job queue shards-big"].step


def test_a_closed_queue_is_named() -> None:
    found = batch(describe_job_queues=lambda jobQueues: queues(jobQueues, state="DISABLED"))
    assert found["job queue shards-default"].detail == "is DISABLED and VALID"
    command = "`aws batch update-job-queue --job-queue shards-default --state ENABLED`"
    assert found["job queue shards-default"].step == command


def test_a_queue_that_others_serve_is_named() -> None:
    found = batch(describe_job_queues=lambda jobQueues: queues(jobQueues, computeEnvironmentOrder=[]))
    assert found["job queue shards-default"].detail == "is served by none"


def test_a_missing_queue_of_the_users_own_is_theirs_to_make() -> None:
    assert SETTINGS.batch is not None
    theirs = replace(SETTINGS.batch, queues={"default": BatchQueue("theirs")})
    found = batch(theirs, describe_job_queues={"jobQueues": []})
    assert found["job queue theirs"].step == "make it, or name another as job_queue in batch.queues"


def test_a_missing_execution_role_is_named() -> None:
    found = batch(get_role=refused("NoSuchEntity"))
    assert found["role shards-batch-execution"].status == "problem"


def test_a_missing_role_of_the_service_itself_is_named_with_the_way_to_it() -> None:
    found = linked(get_role=refused("NoSuchEntity"))
    step = found["role AWSServiceRoleForBatch"].step
    assert "aws iam create-service-linked-role --aws-service-name batch.amazonaws.com" in step


def test_roles_that_one_may_not_look_at_are_no_problem() -> None:
    found = {**linked(get_role=denied("iam:GetRole")), **batch(get_role=denied("iam:GetRole"))}
    assert {each.status for subject, each in found.items() if subject.startswith("role")} == {"unknown"}


def test_a_log_group_that_forgets_nothing_is_pointed_out() -> None:
    assert SETTINGS.batch is not None
    everybodys = replace(SETTINGS.batch, log_group=LOG_GROUP)
    found = batch(everybodys, describe_log_groups={"logGroups": [{"logGroupName": LOG_GROUP}]})
    assert found[f"log group {LOG_GROUP}"].status == "unknown"
    assert "put-retention-policy" in found[f"log group {LOG_GROUP}"].step


@pytest.mark.parametrize(
    ("operation", "code", "subject"),
    [
        ("get_role", "NoSuchEntity", "EMR service role EMR_DefaultRole"),
        ("get_instance_profile", "NoSuchEntity", "EMR instance profile EMR_EC2_DefaultRole"),
        ("describe_subnets", "InvalidSubnetID.NotFound", "EMR subnet subnet-1"),
        ("head_bucket", "404", "EMR log bucket our-logs"),
    ],
)
def test_what_clusters_lack_is_named(operation: str, code: str, subject: str) -> None:
    assert emr(**{operation: refused(code)})[subject].detail == "does not exist"


def test_who_may_not_list_clusters_is_told_so() -> None:
    found = emr(list_clusters=denied("elasticmapreduce:ListClusters"))["Amazon EMR"]
    assert (found.status, "elasticmapreduce:ListClusters" in found.detail) == ("problem", True)


def test_on_one_machine_the_users_own_queues_are_looked_at() -> None:
    alone = BatchSettings("laptop", "us-east-1", {"default": BatchQueue("theirs")})
    settings = Settings(batch=alone)
    found = found_by(
        lambda aws, findings: examine_backends(aws, settings, findings, lambda: 0.0),
        describe_job_queues={"jobQueues": []},
    )
    assert found["job queue theirs"].status == "problem"
    assert not [subject for subject in found if subject.startswith(("role", "compute"))]


def test_the_vcpus_that_environments_of_aws_batch_may_use_are_counted_by_market() -> None:
    # spot 50 x 4; steady 10 x 4; large 4 x 16, two of which on demand; the controller 2
    assert wanted(SETTINGS, FLEET) == {ON_DEMAND: 40 + 2 * 16 + 2, SPOT: 200 + 2 * 16}


def test_each_role_is_asked_for_what_it_should_be_allowed() -> None:
    roles = {f"{name}Role": f"arn:{name}" for name in ("Controller", "BatchInstance", "BatchExecution")}
    aws = Scripted(
        {"simulate_principal_policy": lambda ActionNames, **_: {"EvaluationResults": _refusals(ActionNames)}}
    )
    findings = Findings(lambda _: None)
    policies = Policies.of(SETTINGS, FLEET, SITE)
    asyncio.run(check_rights(aws, CALLER, policies, Stack("shards", "", roles), findings))
    told = {each.subject: each.detail for each in findings.all}
    assert "iam:PassRole on *" in told["the ControllerRole's permissions"]
    assert "ecs:Poll on *" in told["the BatchInstanceRole's permissions"]
    assert "secretsmanager:GetSecretValue on *" in told["the BatchExecutionRole's permissions"]
    assert "batch:CreateComputeEnvironment on *" in told["your permissions to deploy"]


def _refusals(actions: list[str]) -> list[Mapping[str, str]]:
    return [{"EvalActionName": action, "EvalDecision": "implicitDeny"} for action in actions]


def test_a_role_that_may_be_lent_to_one_service_only_is_asked_about_with_that_service() -> None:
    aws = Scripted({"simulate_principal_policy": {"EvaluationResults": []}})
    roles = {"ControllerRole": "arn:controller"}
    policies = Policies.of(SETTINGS, FLEET, SITE)
    asyncio.run(check_rights(aws, CALLER, policies, Stack("shards", "", roles), Findings(lambda _: None)))
    (asked,) = [
        each for each in aws.given("simulate_principal_policy") if each["ActionNames"] == ["iam:PassRole"]
    ]
    (context,) = asked["ContextEntries"]
    assert context["ContextKeyValues"] == ["ecs-tasks.amazonaws.com"]
