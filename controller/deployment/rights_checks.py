"""Whether the credentials allow what a user does, and the roles what machines do.

IAM is asked to simulate it. Who may not ask is told so, and a few calls that change nothing are tried instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.deployment.findings import Findings
from controller.deployment.policies import Policies
from controller.deployment.stacks import Stack
from controller.deployment.statements import Statement
from runner.aws import Aws, AwsError, Trouble

# What `deploy` and `destroy` themselves call or have CloudFormation call; the rest of it goes with these.
DEPLOYER = (
    "cloudformation:CreateChangeSet",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:ListStackResources",
    "iam:CreateRole",
    "iam:PutRolePolicy",
    "iam:PassRole",
    "iam:CreateInstanceProfile",
    "iam:CreatePolicy",
    "iam:ListEntitiesForPolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateSecurityGroup",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
    "autoscaling:CreateAutoScalingGroup",
    "autoscaling:SuspendProcesses",
    "autoscaling:SetInstanceProtection",
    "autoscaling:UpdateAutoScalingGroup",
    "autoscaling:CompleteLifecycleAction",
    "sqs:CreateQueue",
    "dynamodb:CreateTable",
    "s3:CreateBucket",
    "s3:PutObject",
    "s3:DeleteObject",
    "logs:CreateLogGroup",
    "cloudwatch:PutMetricAlarm",
    "ssm:GetParameter",
)

# The same for what is on AWS Batch.
BATCH_DEPLOYER = (
    "batch:CreateComputeEnvironment",
    "batch:UpdateComputeEnvironment",
    "batch:DeleteComputeEnvironment",
    "batch:CreateJobQueue",
    "batch:UpdateJobQueue",
    "batch:DeleteJobQueue",
    "batch:TagResource",
    "batch:ListJobs",
    "batch:TerminateJob",
    "batch:DeregisterJobDefinition",
    "ecs:DescribeClusters",
    "iam:GetRole",
    "iam:CreateServiceLinkedRole",
)

ASK = "ask for the permission, or use other credentials"
# Different resources of one request are answered for each; so many are enough to tell.
MOST_RESOURCES = 5


async def check_rights(
    aws: Aws, caller: str, policies: Policies, stack: Stack | None, findings: Findings
) -> None:
    async with findings.about("permissions"):
        principal = await _principal(aws, caller)
        if principal is None:
            findings.ok("permissions", "the account's root user may do everything")
            return
        try:
            await _simulated(aws, principal, "your permissions to use the fleet", policies.user(), findings)
        except AwsError as error:
            findings.unknown(
                "permissions",
                f"IAM does not say what you may do (iam:SimulatePrincipalPolicy: {error.code})",
                "the other findings show what could be tried without changing anything",
            )
            await _probed(aws, policies, findings)
            return
        actions = [*DEPLOYER, *(BATCH_DEPLOYER if policies.batch is not None else ())]
        deployer: Statement = {"Action": actions, "Resource": ["*"]}
        await _simulated(aws, principal, "your permissions to deploy", [deployer], findings)
        for name, statements in _roles(policies):
            if stack is not None and name in stack.outputs:
                await _simulated(aws, stack.outputs[name], f"the {name}'s permissions", statements, findings)


def _roles(policies: Policies) -> Iterator[tuple[str, Sequence[Statement]]]:
    """Whose rights should be what, by the names of the stack's outputs."""
    yield "ControllerRole", policies.controller()
    if policies.agents:
        yield "AgentRole", policies.agent()
    if policies.batch is not None:
        yield "BatchInstanceRole", policies.batch_instance()
        yield "BatchExecutionRole", policies.batch_execution()


async def _principal(aws: Aws, caller: str) -> str | None:
    """The user or role behind the credentials, as IAM names it; None for the account's root user."""
    resource = caller.split(":", 5)[5]
    kind, _, rest = resource.partition("/")
    if resource == "root":
        return None
    if kind != "assumed-role":
        return caller
    role = rest.partition("/")[0]
    try:  # its path is not in the session's name
        return str((await aws.call("iam", "get_role", RoleName=role))["Role"]["Arn"])
    except AwsError as error:
        if error.trouble is not Trouble.DENIED and error.code != "NoSuchEntity":
            raise
        partition, account = caller.split(":")[1], caller.split(":")[4]
        return f"arn:{partition}:iam::{account}:role/{role}"


async def _simulated(
    aws: Aws, principal: str, subject: str, statements: Sequence[Statement], findings: Findings
) -> None:
    denied: list[str] = []
    for statement in statements:
        if not _on_tags(statement):  # they cannot be simulated without what has them
            denied += await _denied(aws, principal, statement)
    if denied:
        findings.problem(subject, f"not allowed: {', '.join(denied)}", ASK)
    else:
        findings.ok(subject)


def _conditions(statement: Statement) -> Mapping[str, str]:
    found: Mapping[str, str] = (statement.get("Condition") or {}).get("StringEquals") or {}
    return found


def _on_tags(statement: Statement) -> bool:
    return any("Tag/" in key for key in _conditions(statement))


async def _denied(aws: Aws, principal: str, statement: Statement) -> Sequence[str]:
    denied: list[str] = []
    page: dict[str, Any] = {}
    context = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in _conditions(statement).items()
    ]
    while True:
        reply = await aws.call(
            "iam",
            "simulate_principal_policy",
            PolicySourceArn=principal,
            ActionNames=list(statement["Action"]),
            ResourceArns=list(statement["Resource"])[:MOST_RESOURCES],
            ContextEntries=context,
            **page,
        )
        denied += [
            f"{result['EvalActionName']} on {result.get('EvalResourceName', '*')}"
            for result in reply["EvaluationResults"]
            if result["EvalDecision"] != "allowed"
        ]
        if not reply.get("IsTruncated"):
            return denied
        page = {"Marker": reply["Marker"]}


async def _probed(aws: Aws, policies: Policies, findings: Findings) -> None:
    """Calls that would be refused in another way if they were allowed."""
    table, nothing = policies.fleet.table, {"pk": {"S": "doctor"}, "sk": {"S": "doctor"}}
    await _probe(
        findings,
        "dynamodb:PutItem",
        "ConditionalCheckFailedException",
        lambda: aws.call(
            "dynamodb",
            "put_item",
            TableName=table,
            Item=nothing,
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(pk)",
        ),
    )
    await _probe(
        findings,
        "ec2:CreateLaunchTemplate",
        "DryRunOperation",
        lambda: aws.call(
            "ec2",
            "create_launch_template",
            DryRun=True,
            LaunchTemplateName=f"{policies.fleet.name}.doctor",
            LaunchTemplateData={"ImageId": "ami-00000000000000000"},
        ),
    )


async def _probe(findings: Findings, action: str, allowed: str, call: Any) -> None:
    subject = f"permission {action}"
    try:
        await call()
    except AwsError as error:
        if error.code == allowed:
            findings.ok(subject)
        elif error.trouble is Trouble.DENIED:
            findings.problem(subject, "not allowed", ASK)
        else:
            findings.unknown(subject, str(error))
    else:
        findings.ok(subject)
