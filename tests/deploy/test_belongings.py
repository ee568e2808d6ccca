"""What is in the way when a stack is to be deleted. Scripted replies, after the services' documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controller.deployment.belongings import belongings, loosen
from controller.deployment.roles import roles
from controller.deployment.stacks import Stacks
from controller.simulation.clock import run
from controller.simulation.services.service import refused
from runner.errors import Conflict
from tests.deploy.sample import policies
from tests.deploy.scripted import Answer, Scripted

ABSENT = refused("ValidationError", "Stack with id f does not exist")
ARN = "arn:aws:iam::123456789012:policy/f-UsersPolicy-1"


def resource(kind: str, id: str, name: str, status: str = "CREATE_COMPLETE") -> Mapping[str, str]:  # noqa: A002
    return {
        "ResourceType": kind,
        "PhysicalResourceId": id,
        "LogicalResourceId": name,
        "ResourceStatus": status,
    }


TABLE = resource("AWS::DynamoDB::Table", "f", "Table", "DELETE_FAILED")
POLICY = resource("AWS::IAM::ManagedPolicy", ARN, "UsersPolicy")
ROLE = resource("AWS::IAM::Role", "f-AgentRole-1", "AgentRole")
PROTECTED = {"Table": {"DeletionProtectionEnabled": True}}


def site(*resources: Mapping[str, str], **answers: Answer | list[Answer]) -> Scripted:
    return Scripted(
        {
            "list_stack_resources": {"StackResourceSummaries": list(resources)},
            "describe_stack_events": {"StackEvents": []},
            **answers,
        }
    )


def stack(status: str) -> Mapping[str, Any]:
    tag = {"Key": "runner-fleet", "Value": "f"}
    return {"Stacks": [{"StackName": "f", "StackStatus": status, "Tags": [tag]}]}


def loosened(aws: Scripted) -> Sequence[str]:
    """What was said."""
    said: list[str] = []
    run(loosen(aws, "f", said.append))
    return said


def order(aws: Scripted) -> Sequence[str]:
    return [operation for operation, _ in aws.calls]


def test_the_users_policy_is_detached_from_whoever_has_it() -> None:
    having = {
        "PolicyUsers": [{"UserName": "ann"}],
        "PolicyGroups": [{"GroupName": "analysts"}],
        "PolicyRoles": [{"RoleName": "ci"}],
    }
    aws = site(POLICY, list_entities_for_policy=having)
    told = loosened(aws)
    assert aws.given("detach_user_policy") == [{"UserName": "ann", "PolicyArn": ARN}]
    assert aws.given("detach_group_policy") == [{"GroupName": "analysts", "PolicyArn": ARN}]
    assert aws.given("detach_role_policy") == [{"RoleName": "ci", "PolicyArn": ARN}]
    assert told[0] == "detaching f-UsersPolicy-1 from ann"


def test_everybody_on_every_page_loses_the_policy() -> None:
    def page(PolicyArn: str, Marker: str = "") -> Mapping[str, Any]:
        more = {} if Marker else {"IsTruncated": True, "Marker": "2"}
        return {"PolicyUsers": [{"UserName": f"user{Marker}"}], **more}

    aws = site(POLICY, list_entities_for_policy=page)
    loosened(aws)
    assert [each["UserName"] for each in aws.given("detach_user_policy")] == ["user", "user2"]


def test_what_people_tied_to_a_role_is_taken_off_and_its_own_policy_stays() -> None:
    shell = {"PolicyName": "AmazonSSMManagedInstanceCore", "PolicyArn": "arn:aws:iam::aws:policy/S"}
    aws = site(
        ROLE,
        list_attached_role_policies={"AttachedPolicies": [shell]},
        list_role_policies={"PolicyNames": ["Agent", "decrypt"]},
    )
    loosened(aws)
    assert aws.given("detach_role_policy") == [{"RoleName": "f-AgentRole-1", "PolicyArn": shell["PolicyArn"]}]
    assert aws.given("delete_role_policy") == [{"RoleName": "f-AgentRole-1", "PolicyName": "decrypt"}]


def test_a_roles_own_policy_is_known_by_its_name() -> None:
    made = {name: each for name, each in roles(policies()).items() if each["Type"] == "AWS::IAM::Role"}
    own = {
        f"{policy['PolicyName']}Role" for each in made.values() for policy in each["Properties"]["Policies"]
    }
    assert own == made.keys()


def test_what_somebody_else_has_detached_meanwhile_is_no_failure() -> None:
    aws = site(
        POLICY,
        list_entities_for_policy={"PolicyUsers": [{"UserName": "ann"}]},
        detach_user_policy=refused("NoSuchEntity"),
    )
    assert loosened(aws) == ["detaching f-UsersPolicy-1 from ann"]


def test_the_tables_protection_is_taken_off() -> None:
    aws = site(TABLE, describe_table=PROTECTED)
    loosened(aws)
    assert aws.given("update_table") == [{"TableName": "f", "DeletionProtectionEnabled": False}]


def test_a_table_of_that_name_that_the_stack_could_not_make_is_somebody_elses() -> None:
    theirs = {**TABLE, "ResourceStatus": "CREATE_FAILED"}
    aws = site(theirs, describe_table=PROTECTED)
    loosened(aws)
    assert aws.given("update_table") == []


def test_all_pages_of_a_stack_are_read() -> None:
    pages: list[Answer] = [
        {"StackResourceSummaries": [POLICY], "NextToken": "2"},
        {"StackResourceSummaries": [ROLE]},
    ]
    found = run(belongings(Scripted({"list_stack_resources": pages}), "f"))
    assert [each.name for each in found] == ["UsersPolicy", "AgentRole"]


def test_a_stack_is_loosened_before_it_is_deleted() -> None:
    aws = site(TABLE, describe_table=PROTECTED, describe_stacks=[stack("CREATE_COMPLETE"), ABSENT])
    run(Stacks(aws, "f", lambda _: None).delete("f"))
    assert order(aws).index("update_table") < order(aws).index("delete_stack")


@pytest.mark.parametrize("status", ["ROLLBACK_FAILED", "CREATE_FAILED"])
def test_a_table_that_a_first_try_left_protected_does_not_block_the_next(status: str) -> None:
    aws = site(
        TABLE,
        describe_table=PROTECTED,
        describe_stacks=[stack(status), stack(status), ABSENT],
        create_change_set={"Id": "arn"},
        describe_change_set={"Status": "CREATE_COMPLETE"},
    )
    run(Stacks(aws, "f", lambda _: None).plan("f", "body"))
    assert (
        order(aws).index("update_table")
        < order(aws).index("delete_stack")
        < order(aws).index("create_change_set")
    )


def test_a_stack_whose_deletion_failed_is_removed_before_it_is_made_anew() -> None:
    aws = site(
        POLICY,
        describe_stacks=[stack("DELETE_FAILED"), stack("DELETE_FAILED"), ABSENT],
        create_change_set={"Id": "arn"},
        describe_change_set={"Status": "CREATE_COMPLETE"},
    )
    run(Stacks(aws, "f", lambda _: None).plan("f", "body"))
    assert order(aws).index("delete_stack") < order(aws).index("create_change_set")


def test_a_table_that_survived_the_deletion_of_its_stack_is_not_a_deploys_to_delete() -> None:
    aws = site(TABLE, describe_table=PROTECTED, describe_stacks=stack("DELETE_FAILED"))
    with pytest.raises(Conflict, match=r"still has the table f: `runner-controller destroy`"):
        run(Stacks(aws, "f", lambda _: None).plan("f", "body"))
    assert {"update_table", "delete_stack"} & set(order(aws)) == set()
