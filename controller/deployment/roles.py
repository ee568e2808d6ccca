"""The roles of agents and of the controller, and the policy for people who submit jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.deployment.names import tags
from controller.deployment.policies import Policies, Statement, document

AGENT, CONTROLLER, USERS = "Agent", "Controller", "UsersPolicy"


def roles(policies: Policies) -> Mapping[str, Any]:
    return {
        **_role(policies, AGENT, policies.agent()),
        **_role(policies, CONTROLLER, policies.controller()),
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


def _role(policies: Policies, name: str, statements: Sequence[Statement]) -> Mapping[str, Any]:
    ec2 = "ec2.amazonaws.com.cn" if policies.site.partition == "aws-cn" else "ec2.amazonaws.com"
    trust = {"Effect": "Allow", "Principal": {"Service": ec2}, "Action": "sts:AssumeRole"}
    return {
        f"{name}Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": document([trust]),
                "Policies": [{"PolicyName": name, "PolicyDocument": document(statements)}],
                "Tags": tags(policies.fleet),
            },
        },
        f"{name}Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [{"Ref": f"{name}Role"}]},
        },
    }
