"""What a stack has, and what of it would not let itself be deleted: those holds are loosened first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runner.aws import Aws, AwsError, Reply

TABLE = "AWS::DynamoDB::Table"
POLICY = "AWS::IAM::ManagedPolicy"
ROLE = "AWS::IAM::Role"

# Of these nothing is there, or it is not the stack's: as where the name was somebody else's already.
ABSENT = frozenset({"CREATE_FAILED", "DELETE_COMPLETE", "DELETE_SKIPPED"})
GONE = frozenset({"NoSuchEntity", "ResourceNotFoundException"})

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Belonging:
    """`kind` is CloudFormation's, `id` the resource's own name, ARN or address, `name` that within the template."""

    kind: str
    id: str
    name: str


async def belongings(aws: Aws, stack: str) -> Sequence[Belonging]:
    """Nothing for a stack that is not there. Raises AwsError."""
    try:
        found = await _all(
            aws, "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack
        )
    except AwsError as error:
        if error.code == "ValidationError":
            return []
        raise
    return [
        Belonging(str(each["ResourceType"]), str(each["PhysicalResourceId"]), str(each["LogicalResourceId"]))
        for each in found
        if each.get("PhysicalResourceId") and each.get("ResourceStatus") not in ABSENT
    ]


async def loosen(aws: Aws, stack: str, say: Say) -> None:
    """Takes away what would keep parts of the stack from being deleted: the table's protection, and what people have
    tied to roles and policies since. Raises AwsError."""
    for each in await belongings(aws, stack):
        if each.kind == TABLE:
            await _unprotect(aws, each.id)
        elif each.kind == POLICY:
            await _detach_policy(aws, each.id, say)
        elif each.kind == ROLE:
            await _strip_role(aws, each, say)


async def _unprotect(aws: Aws, table: str) -> None:
    reply = await _unless_gone(aws, "dynamodb", "describe_table", TableName=table)
    if (reply.get("Table") or {}).get("DeletionProtectionEnabled"):
        await _unless_gone(aws, "dynamodb", "update_table", TableName=table, DeletionProtectionEnabled=False)


async def _detach_policy(aws: Aws, arn: str, say: Say) -> None:
    """From everybody who has it: IAM does not delete a policy that somebody has."""
    for kind in ("User", "Group", "Role"):
        name, detach = f"{kind}Name", f"detach_{kind.lower()}_policy"
        for each in await _all(aws, "iam", "list_entities_for_policy", f"Policy{kind}s", PolicyArn=arn):
            say(f"detaching {arn.rpartition('/')[2]} from {each[name]}")
            await _unless_gone(aws, "iam", detach, **{name: each[name], "PolicyArn": arn})


async def _strip_role(aws: Aws, role: Belonging, say: Say) -> None:
    """Of what the stack did not give it. Its own policies go with the stack, not before: a machine may need them."""
    for each in await _all(aws, "iam", "list_attached_role_policies", "AttachedPolicies", RoleName=role.id):
        say(f"detaching {each['PolicyName']} from {role.id}")
        await _unless_gone(aws, "iam", "detach_role_policy", RoleName=role.id, PolicyArn=each["PolicyArn"])
    for name in await _all(aws, "iam", "list_role_policies", "PolicyNames", RoleName=role.id):
        if f"{name}Role" != role.name:
            say(f"removing the policy {name} from {role.id}")
            await _unless_gone(aws, "iam", "delete_role_policy", RoleName=role.id, PolicyName=name)


async def _unless_gone(aws: Aws, service: str, operation: str, **parameters: Any) -> Reply:
    """Nothing, if it is."""
    try:
        return await aws.call(service, operation, **parameters)
    except AwsError as error:
        if error.code not in GONE:
            raise
        return {}


async def _all(aws: Aws, service: str, operation: str, key: str, **wanted: Any) -> Sequence[Any]:
    """All pages, whichever of the two ways the service has of turning them. What is gone has none."""
    found: list[Any] = []
    page: dict[str, Any] = {}
    while True:
        reply = await _unless_gone(aws, service, operation, **wanted, **page)
        found += reply.get(key) or ()
        if reply.get("NextToken"):
            page = {"NextToken": reply["NextToken"]}
        elif reply.get("IsTruncated"):
            page = {"Marker": reply["Marker"]}
        else:
            return found
