"""CloudFormation as it answers: change sets without changes, failures, stacks of others. Scripted replies, after the
service's documentation; time is virtual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.deployment.losses import losses
from controller.deployment.stacks import Change, ChangeSet, Stacks
from controller.simulation.clock import run
from controller.simulation.services.service import refused
from runner.aws import AwsError
from runner.errors import BadInput, RunnerError, Unavailable
from tests.deploy.scripted import Answer, Scripted

ABSENT = refused("ValidationError", "Stack with id f does not exist")
CREATED = {"Status": "CREATE_COMPLETE", "Changes": []}


def stack(status: str, owner: str = "f", **more: Any) -> Mapping[str, Any]:
    return {
        "Stacks": [
            {
                "StackName": "f",
                "StackStatus": status,
                "Tags": [{"Key": "runner-fleet", "Value": owner}],
                **more,
            }
        ]
    }


class Stage:
    def __init__(self, **answers: Answer | list[Answer]) -> None:
        self.aws = Scripted(
            {"create_change_set": {"Id": "arn"}, "describe_stack_events": {"StackEvents": []}, **answers}
        )
        self.said: list[str] = []
        self.stacks = Stacks(self.aws, "f", self.said.append)


def test_a_stack_that_is_not_there_is_made() -> None:
    stage = Stage(describe_stacks=ABSENT, describe_change_set=CREATED)
    assert run(stage.stacks.plan("f", "body")) == ChangeSet("f", "arn", [])
    assert stage.aws.given("create_change_set")[0]["ChangeSetType"] == "CREATE"


def test_a_stack_that_is_there_is_updated() -> None:
    stage = Stage(describe_stacks=stack("UPDATE_COMPLETE"), describe_change_set=CREATED)
    run(stage.stacks.plan("f", "body"))
    assert stage.aws.given("create_change_set")[0]["ChangeSetType"] == "UPDATE"


def test_everything_is_tagged_as_the_fleets() -> None:
    stage = Stage(describe_stacks=ABSENT, describe_change_set=CREATED)
    run(stage.stacks.plan("f", "body"))
    assert stage.aws.given("create_change_set")[0]["Tags"] == [{"Key": "runner-fleet", "Value": "f"}]


def test_what_an_earlier_try_planned_is_planned_anew() -> None:
    twice: list[Answer] = [refused("AlreadyExistsException"), {"Id": "arn"}]
    stage = Stage(
        describe_stacks=stack("UPDATE_COMPLETE"), describe_change_set=CREATED, create_change_set=twice
    )
    assert run(stage.stacks.plan("f", "body")) is not None
    assert len(stage.aws.given("delete_change_set")) == 1


def test_a_change_set_without_changes_is_none_and_is_not_left_lying_about() -> None:
    nothing = {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes."}
    stage = Stage(describe_stacks=stack("UPDATE_COMPLETE"), describe_change_set=nothing)
    assert run(stage.stacks.plan("f", "body")) is None
    assert {"StackName": "f", "ChangeSetName": "arn"} in stage.aws.given("delete_change_set")


def test_a_change_set_that_cannot_be_is_told_with_its_reason() -> None:
    failed = {"Status": "FAILED", "StatusReason": "Template error: no such resource"}
    stage = Stage(describe_stacks=ABSENT, describe_change_set=failed)
    with pytest.raises(RunnerError, match="cannot be changed so: Template error"):
        run(stage.stacks.plan("f", "body"))


def test_a_change_set_is_waited_for() -> None:
    waiting: list[Answer] = [{"Status": "CREATE_PENDING"}, {"Status": "CREATE_IN_PROGRESS"}, CREATED]
    stage = Stage(describe_stacks=ABSENT, describe_change_set=waiting)
    assert run(stage.stacks.plan("f", "body")) is not None


def test_all_pages_of_a_change_set_are_read() -> None:
    def page(name: str, **more: Any) -> dict[str, Any]:
        change = {"Action": "Add", "ResourceType": "AWS::SQS::Queue", "LogicalResourceId": name}
        return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change}], **more}

    stage = Stage(describe_stacks=ABSENT, describe_change_set=[page("A", NextToken="2"), page("B")])
    planned = run(stage.stacks.plan("f", "body"))
    assert planned is not None
    assert [change.name for change in planned.changes] == ["A", "B"]


def test_a_large_template_goes_by_its_address() -> None:
    stage = Stage(describe_stacks=ABSENT, describe_change_set=CREATED)
    run(stage.stacks.plan("f", "x" * 60_000, "https://bucket/f.yaml"))
    (given,) = stage.aws.given("create_change_set")
    assert given["TemplateURL"] == "https://bucket/f.yaml"
    assert "TemplateBody" not in given


def test_a_stack_of_somebody_elses_is_not_touched() -> None:
    stage = Stage(describe_stacks=stack("CREATE_COMPLETE", owner=""))
    with pytest.raises(BadInput, match=r"fleet\.name: there is a stack f already"):
        run(stage.stacks.plan("f", "body"))
    with pytest.raises(BadInput):
        run(stage.stacks.delete("f"))
    assert {operation for operation, _ in stage.aws.calls} == {"describe_stacks"}


def test_a_stack_in_the_middle_of_something_is_left_to_it() -> None:
    stage = Stage(describe_stacks=stack("UPDATE_IN_PROGRESS"))
    with pytest.raises(Unavailable, match="in the middle of something"):
        run(stage.stacks.plan("f", "body"))


def test_what_a_failed_first_try_left_is_removed_before_the_next() -> None:
    gone: list[Answer] = [stack("ROLLBACK_COMPLETE"), stack("ROLLBACK_COMPLETE"), ABSENT]
    stage = Stage(describe_stacks=gone, describe_change_set=CREATED)
    run(stage.stacks.plan("f", "body"))
    assert stage.aws.given("delete_stack") == [{"StackName": "f"}]
    assert stage.aws.given("create_change_set")[0]["ChangeSetType"] == "CREATE"


def test_progress_is_told_once_each() -> None:
    def event(number: str, status: str) -> dict[str, str]:
        return {"EventId": number, "LogicalResourceId": "Queue", "ResourceStatus": status}

    old, first, second = event("0", "OLD"), event("1", "CREATE_IN_PROGRESS"), event("2", "CREATE_COMPLETE")
    stage = Stage(
        describe_stacks=[stack("CREATE_IN_PROGRESS"), stack("CREATE_COMPLETE")],
        describe_stack_events=[
            {"StackEvents": [old]},
            {"StackEvents": [first, old]},
            {"StackEvents": [second, first, old]},
        ],
    )
    run(stage.stacks.apply(ChangeSet("f", "arn", [])))
    assert stage.said == ["f: Queue CREATE_IN_PROGRESS", "f: Queue CREATE_COMPLETE"]


def test_a_failure_names_the_resource_and_the_reason_but_not_what_was_cancelled_for_it() -> None:
    events = [
        {
            "EventId": "2",
            "LogicalResourceId": "Other",
            "ResourceStatus": "CREATE_FAILED",
            "ResourceStatusReason": "Resource creation cancelled",
        },
        {
            "EventId": "1",
            "LogicalResourceId": "Role",
            "ResourceStatus": "CREATE_FAILED",
            "ResourceStatusReason": "not authorized",
        },
    ]
    stage = Stage(describe_stacks=stack("ROLLBACK_COMPLETE"), describe_stack_events={"StackEvents": events})
    with pytest.raises(RunnerError, match=r"ended as ROLLBACK_COMPLETE\nRole: not authorized$"):
        run(stage.stacks.apply(ChangeSet("f", "arn", [])))


def test_a_stack_that_is_gone_already_need_not_be_deleted() -> None:
    stage = Stage(describe_stacks=ABSENT)
    run(stage.stacks.delete("f"))
    assert stage.aws.given("delete_stack") == []


GROUP = Change("Remove", "AWS::AutoScaling::AutoScalingGroup", "G", "f-spot")
QUEUE = Change("Modify", "AWS::SQS::Queue", "Q", "https://sqs/1/f-default", replaced=True)
EMPTY = dict.fromkeys(
    (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ),
    "0",
)


def test_removing_machines_that_run_is_a_loss() -> None:
    running = {"AutoScalingGroups": [{"AutoScalingGroupName": "f-spot", "Instances": [{}, {}]}]}
    (told,) = run(losses(Scripted({"describe_auto_scaling_groups": running}), [GROUP]))
    assert told.startswith("f-spot has 2 instances: let them end")


def test_removing_a_queue_with_messages_is_a_loss() -> None:
    held = {"Attributes": {**EMPTY, "ApproximateNumberOfMessagesNotVisible": "3"}}
    (told,) = run(losses(Scripted({"get_queue_attributes": held}), [QUEUE]))
    assert told == "f-default holds 3 messages: let the work on it end first"


def test_removing_what_is_empty_or_gone_is_none() -> None:
    gone: AwsError = refused("AWS.SimpleQueueService.NonExistentQueue")
    aws = Scripted({"describe_auto_scaling_groups": {"AutoScalingGroups": []}, "get_queue_attributes": gone})
    assert run(losses(aws, [GROUP, QUEUE])) == []


def test_what_is_only_changed_is_not_asked_about() -> None:
    aws = Scripted({})
    assert run(losses(aws, [Change("Modify", GROUP.kind, "G", "f-spot")])) == []
    assert aws.calls == []
