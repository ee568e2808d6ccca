"""Machines that do not go by themselves when a fleet is removed. The services are scripted, time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from controller.deployment.ending import GOING, MARGIN, Ending
from controller.deployment.machines import HOOK
from controller.deployment.removal import Removal
from controller.simulation.clock import run
from controller.simulation.services.service import refused
from runner.errors import Unavailable
from runner.settings import AgentSettings, Settings
from tests.deploy.sample import fleet
from tests.deploy.scripted import Scripted

DRAIN = 90.0
DRAINING = Settings(agent=AgentSettings(drain=DRAIN))
ABSENT = refused("ValidationError", "Stack with id shards does not exist")


class Cloud(Scripted):
    """One group, whose members go when its hook is completed, when they are terminated, or never. `times`: when that
    was asked for, in seconds from the beginning."""

    def __init__(
        self, *, members: int = 1, strays: int = 0, heeds: str = "complete_lifecycle_action"
    ) -> None:
        super().__init__(
            {
                "describe_instances": self._described,
                "describe_auto_scaling_groups": self._groups,
                "update_auto_scaling_group": self._shrunk,
                "complete_lifecycle_action": self._completed,
                "terminate_instances": self._terminated,
                "describe_stacks": self._stack,
                "delete_stack": self._delete_stack,
                "describe_stack_events": {"StackEvents": []},
                "get_caller_identity": {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/a"},
                "head_bucket": refused("404"),
            }
        )
        self.members = {f"i-{number}": "InService" for number in range(members)}
        self.strays = [f"i-stray{number}" for number in range(strays)]
        self.stacks = {"shards", "shards-storage"}
        self.times: dict[str, float] = {}
        self._heeds = heeds
        self._size = members

    def _described(self, **_: Any) -> Mapping[str, Any]:
        found = [{"InstanceId": each, "State": {"Name": "running"}} for each in (*self.members, *self.strays)]
        return {"Reservations": [{"Instances": found}]}

    def _groups(self, **_: Any) -> Mapping[str, Any]:
        members = [{"InstanceId": name, "LifecycleState": state} for name, state in self.members.items()]
        name = "shards-spot"
        group = {"AutoScalingGroupName": name, "MaxSize": self._size, "DesiredCapacity": self._size}
        return {"AutoScalingGroups": [{**group, "Instances": members}]}

    def _shrunk(self, **_: Any) -> Mapping[str, Any]:
        self._size = 0
        self.members = dict.fromkeys(self.members, "Terminating:Wait")
        return {}

    def _completed(self, InstanceId: str, **_: Any) -> Mapping[str, Any]:
        self._goes("complete_lifecycle_action", InstanceId)
        return {}

    def _terminated(self, InstanceIds: list[str]) -> Mapping[str, Any]:
        for each in InstanceIds:
            self._goes("terminate_instances", each)
        return {}

    def _goes(self, operation: str, machine: str) -> None:
        self.times.setdefault(operation, asyncio.get_running_loop().time())
        if machine in self.strays:
            self.strays.remove(machine)
        elif operation == self._heeds:
            del self.members[machine]

    def _stack(self, StackName: str) -> Mapping[str, Any]:
        if StackName not in self.stacks:
            raise ABSENT
        tags = [{"Key": "runner-fleet", "Value": "shards"}]
        return {"Stacks": [{"StackName": StackName, "StackStatus": "CREATE_COMPLETE", "Tags": tags}]}

    def _delete_stack(self, StackName: str) -> Mapping[str, Any]:
        self.stacks.remove(StackName)
        return {}


def end(cloud: Cloud) -> None:
    run(Ending(cloud, fleet(), DRAIN, lambda _: None).run())


def test_tasks_get_the_time_to_drain_before_a_machine_that_waits_for_them_is_let_go() -> None:
    cloud = Cloud()
    end(cloud)
    assert DRAIN + MARGIN <= cloud.times["complete_lifecycle_action"] < DRAIN + MARGIN + 10


def test_it_is_the_groups_hook_that_is_completed() -> None:
    cloud = Cloud()
    end(cloud)
    assert cloud.given("complete_lifecycle_action") == [
        {
            "AutoScalingGroupName": "shards-spot",
            "LifecycleHookName": HOOK,
            "InstanceId": "i-0",
            "LifecycleActionResult": "CONTINUE",
        }
    ]


def test_an_agent_that_completes_the_hook_at_that_very_moment_is_no_failure() -> None:
    cloud = Cloud(heeds="terminate_instances")
    cloud.answers(complete_lifecycle_action=refused("ValidationError", "No active Lifecycle Action found"))
    end(cloud)
    assert cloud.members == {}


def test_a_machine_that_stays_all_the_same_is_terminated() -> None:
    cloud = Cloud(heeds="terminate_instances")
    end(cloud)
    assert DRAIN + MARGIN + GOING <= cloud.times["terminate_instances"] < DRAIN + MARGIN + GOING + 10
    assert cloud.members == {}


def test_a_machine_of_no_group_is_terminated_at_once() -> None:
    cloud = Cloud(members=0, strays=1)
    end(cloud)
    assert cloud.times["terminate_instances"] == 0.0


def test_machines_that_go_for_nothing_are_named() -> None:
    with pytest.raises(Unavailable, match="machines do not go: i-0; look at them"):
        end(Cloud(heeds="nothing"))


def test_a_look_is_two_requests() -> None:
    cloud = Cloud(heeds="nothing")
    with pytest.raises(Unavailable):
        end(cloud)
    looks = len(cloud.given("describe_instances"))
    assert len(cloud.given("describe_auto_scaling_groups")) == looks
    others = {operation for operation, _ in cloud.calls} - {
        "describe_instances",
        "describe_auto_scaling_groups",
    }
    assert others == {"update_auto_scaling_group", "complete_lifecycle_action", "terminate_instances"}


def test_more_machines_than_a_request_takes_go_in_several() -> None:
    cloud = Cloud(members=0, strays=120)
    end(cloud)
    assert [len(each["InstanceIds"]) for each in cloud.given("terminate_instances")] == [50, 50, 20]


def test_with_machines_of_every_kind_in_the_way_both_stacks_are_deleted() -> None:
    cloud = Cloud(members=2, strays=1)
    run(Removal(cloud, DRAINING, fleet(), lambda _: None).destroy(delete_logs=False))
    assert (cloud.members, cloud.strays, cloud.stacks) == ({}, [], set())
