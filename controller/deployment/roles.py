"""The roles of machines and of what prepares tasks on AWS Batch, and the policy for people who submit jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.deployment.job_queues import own_environments
from controller.deployment.names import tags
from controller.deployment.policies import Policies
from controller.deployment.statements import Statement, document
from runner.batch_settings import execution_role_name

AGENT, CONTROLLER, USERS = "Agent", "Controller", "UsersPolicy"
BATCH_INSTANCE, BATCH_EXECUTION = "BatchInstance", "BatchExecution"


def roles(policies: Policies) -> Mapping[str, Any]:
    agents = _machine_role(policies, AGENT, policies.agent()) if policies.agents else {}
    return {
        **agents,
        **_machine_role(policies, CONTROLLER, policies.controller()),
        **_batch_roles(policies),
        USERS: {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": f"Submit jobs to the fleet {policies.fleet.name}, watch them, read their logs",
                "PolicyDocument": document(policies.user()),
            },
        },
    }


def profile(name: str) -> Mapping[str, Any]:
    """For a launch template: makes instances take the role."""
    return {"Arn": {"Fn::GetAtt": [f"{name}Profile", "Arn"]}}


def role_arn(name: str) -> Mapping[str, Any]:
    return {"Fn::GetAtt": [f"{name}Role", "Arn"]}


def _batch_roles(policies: Policies) -> Mapping[str, Any]:
    batch = policies.batch
    if batch is None:
        return {}
    made: dict[str, Any] = {}
    if own_environments(policies.fleet, batch):
        made |= _machine_role(policies, BATCH_INSTANCE, policies.batch_instance())
    if batch.execution_role is None:
        role = _role(policies, BATCH_EXECUTION, "ecs-tasks.amazonaws.com", policies.batch_execution())
        role["Properties"]["RoleName"] = execution_role_name(batch.name)  # by which jobs know it
        made[f"{BATCH_EXECUTION}Role"] = role
    return made


def _machine_role(policies: Policies, name: str, statements: Sequence[Statement]) -> Mapping[str, Any]:
    ec2 = "ec2.amazonaws.com.cn" if policies.site.partition == "aws-cn" else "ec2.amazonaws.com"
    return {
        f"{name}Role": _role(policies, name, ec2, statements),
        f"{name}Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [{"Ref": f"{name}Role"}]},
        },
    }


def _role(policies: Policies, name: str, service: str, statements: Sequence[Statement]) -> Mapping[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": document([trust]),
            "Policies": [{"PolicyName": name, "PolicyDocument": document(statements)}],
            "Tags": tags(policies.fleet),
        },
    }
