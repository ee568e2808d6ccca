"""The end of what a fleet has on AWS Batch and Amazon EMR. The services are scripted, time is virtual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.deployment.batch_ending import BatchEnding
from controller.deployment.remains import Remnant, remains
from controller.deployment.removal import Removal
from controller.simulation.clock import run
from controller.simulation.services.service import refused
from runner.aws import AwsError, Reply, Trouble
from runner.emr_settings import EmrSettings
from runner.errors import Unavailable
from runner.settings import Settings
from tests.deploy.sample import batch_settings, fleet
from tests.deploy.scripted import Scripted

OURS, THEIRS = {"runner-fleet": "shards"}, {"runner-fleet": "shards-two"}
SETTINGS = batch_settings()
ACCOUNT = "123456789012"


class Cloud(Scripted):
    """Of each kind one that is the fleet's and one that is not. A change takes a look to be done; it is refused, as AWS
    Batch refuses it, where something else must be done before. `stubborn`: jobs that do not end."""

    def __init__(self, stubborn: bool = False) -> None:
        super().__init__(
            {
                "describe_job_queues": self._queues,
                "describe_compute_environments": self._environments,
                "list_jobs": self._list,
                "describe_job_definitions": self._definitions,
                "update_job_queue": self._close_queue,
                "update_compute_environment": self._close_environment,
                "delete_job_queue": self._delete_queue,
                "delete_compute_environment": self._delete_environment,
                "terminate_job": self._terminate,
                "list_clusters": self._clusters,
                "describe_cluster": self._cluster,
                "terminate_job_flows": self._end_clusters,
                "get_caller_identity": {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/a"},
                "describe_stacks": refused("ValidationError", "Stack with id shards does not exist"),
                "describe_table": refused("ResourceNotFoundException"),
                "head_bucket": refused("404"),
            }
        )
        self.queues = {"shards-default": self._one(OURS), "shards-two-default": self._one(THEIRS)}
        self.environments = {"shards-spot": self._one(OURS), "shards-two-spot": self._one(THEIRS)}
        self.jobs = {"shards-default": ["j-1", "j-2"], "shards-two-default": ["j-3"]}
        self.clusters = {"j-A": "shards/a/1/1", "j-B": "shards-two/a/1/1", "j-C": "somebody's"}
        self._stubborn = stubborn

    @staticmethod
    def _one(tags: Mapping[str, str]) -> dict[str, Any]:
        return {"state": "ENABLED", "status": "VALID", "tags": tags}

    def _queues(self, **_: Any) -> Reply:
        return {"jobQueues": [{"jobQueueName": name, **each} for name, each in _looked_at(self.queues)]}

    def _environments(self, **_: Any) -> Reply:
        found = _looked_at(self.environments)
        return {"computeEnvironments": [{"computeEnvironmentName": name, **each} for name, each in found]}

    def _list(self, jobQueue: str, jobStatus: str) -> Reply:
        ids = self.jobs[jobQueue] if jobStatus == "RUNNING" else []
        return {"jobSummaryList": [{"jobId": each} for each in ids]}

    def _definitions(self, **_: Any) -> Reply:
        named = {"a": {"runner:installation": "shards"}, "b": {"runner:installation": "shards-two"}, "c": {}}
        return {"jobDefinitions": [{"jobDefinitionArn": arn, "tags": tags} for arn, tags in named.items()]}

    def _close_queue(self, jobQueue: str, state: str) -> Reply:
        self.queues[jobQueue] |= {"state": state, "status": "UPDATING"}
        return {}

    def _close_environment(self, computeEnvironment: str, state: str, **_: Any) -> Reply:
        self.environments[computeEnvironment] |= {"state": state, "status": "UPDATING"}
        return {}

    def _delete_queue(self, jobQueue: str) -> Reply:
        self._ready(self.queues[jobQueue])
        self.queues[jobQueue]["status"] = "DELETING"
        return {}

    def _delete_environment(self, computeEnvironment: str) -> Reply:
        self._ready(self.environments[computeEnvironment])
        if self.queues.keys() - {"shards-two-default"}:
            raise refused("ClientException", "Cannot delete, found existing JobQueue relationship")
        self.environments[computeEnvironment]["status"] = "DELETING"
        return {}

    @staticmethod
    def _ready(found: Mapping[str, Any]) -> None:
        if found["state"] != "DISABLED" or found["status"] == "UPDATING":
            raise refused("ClientException", "Cannot delete, resource is being modified or not DISABLED")

    def _terminate(self, jobId: str, reason: str) -> Reply:
        for ids in self.jobs.values():
            if jobId in ids and not self._stubborn:
                ids.remove(jobId)
        return {}

    def _clusters(self, ClusterStates: list[str]) -> Reply:
        return {"Clusters": [{"Id": cluster, "Name": name} for cluster, name in self.clusters.items()]}

    def _cluster(self, ClusterId: str) -> Reply:
        fleet = self.clusters[ClusterId].partition("/")[0]
        return {"Cluster": {"Tags": [{"Key": "runner-fleet", "Value": fleet}]}}

    def _end_clusters(self, JobFlowIds: list[str]) -> Reply:
        for each in JobFlowIds:
            del self.clusters[each]
        return {}


def _looked_at(kept: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """As they are now; by the next look what is under way is done."""
    found = [(name, dict(each)) for name, each in kept.items()]
    for name, each in found:
        if each["status"] == "DELETING":
            del kept[name]
        elif each["status"] == "UPDATING":
            kept[name]["status"] = "VALID"
    return found


def end(cloud: Cloud, settings: Settings = SETTINGS) -> None:
    run(BatchEnding(cloud, settings, fleet(), lambda _: None).run())


def operations(cloud: Cloud, *wanted: str) -> list[str]:
    return [name for name, _ in cloud.calls if name in wanted]


def test_nothing_of_the_fleets_is_left_and_nothing_else_is_touched() -> None:
    cloud = Cloud()
    end(cloud)
    assert list(cloud.queues) == ["shards-two-default"]
    assert list(cloud.environments) == ["shards-two-spot"]
    assert cloud.jobs == {"shards-default": [], "shards-two-default": ["j-3"]}
    assert list(cloud.clusters) == ["j-B", "j-C"]


def test_a_queue_takes_no_jobs_any_more_before_those_it_has_are_ended() -> None:
    cloud = Cloud()
    end(cloud)
    order = operations(cloud, "update_job_queue", "terminate_job", "update_compute_environment")
    assert order == ["update_job_queue", "terminate_job", "terminate_job", "update_compute_environment"]


def test_an_environment_that_is_to_go_keeps_no_idle_instances() -> None:
    cloud = Cloud()
    end(cloud)
    (closed,) = cloud.given("update_compute_environment")
    assert (closed["state"], closed["computeResources"]) == ("DISABLED", {"minvCpus": 0})


def test_job_definitions_of_the_fleet_go_too() -> None:
    cloud = Cloud()
    end(cloud)
    assert cloud.given("deregister_job_definition") == [{"jobDefinition": "a"}]


def test_jobs_that_do_not_end_are_named() -> None:
    with pytest.raises(Unavailable, match="jobs do not end: j-1, j-2; look at them"):
        end(Cloud(stubborn=True))


def test_each_job_is_terminated_once() -> None:
    cloud = Cloud(stubborn=True)
    with pytest.raises(Unavailable):
        end(cloud)
    assert len(cloud.given("terminate_job")) == 2


def denied() -> AwsError:
    return AwsError("batch:DescribeJobQueues", "", "AccessDenied", "no", Trouble.DENIED)


def test_who_has_nothing_there_need_not_have_the_right_to_look() -> None:
    cloud = Cloud()
    cloud.answers(describe_job_queues=denied(), list_clusters=denied())
    end(cloud, Settings())
    assert cloud.given("terminate_job") == []


def test_who_has_something_there_must() -> None:
    cloud = Cloud()
    cloud.answers(describe_job_queues=denied())
    with pytest.raises(AwsError, match="AccessDenied"):
        end(cloud)


def found(cloud: Cloud, settings: Settings = SETTINGS) -> set[Remnant]:
    return set(run(remains(cloud, settings, fleet(), ACCOUNT)))


def test_what_there_is_on_aws_batch_and_amazon_emr_is_shown() -> None:
    assert found(Cloud()) == {
        Remnant("Batch job", "j-1 on shards-default"),
        Remnant("Batch job", "j-2 on shards-default"),
        Remnant("job queue", "shards-default"),
        Remnant("compute environment", "shards-spot"),
        Remnant("EMR cluster", "j-A"),
    }


def test_an_environment_that_is_being_deleted_is_not_gone_yet() -> None:
    cloud = Cloud()
    cloud.environments["shards-spot"]["status"] = "DELETING"
    assert Remnant("compute environment", "shards-spot") in found(cloud)


def test_a_proof_that_cannot_be_had_is_none() -> None:
    cloud = Cloud()
    cloud.answers(list_clusters=denied())
    assert Remnant("EMR cluster", "j-A") not in found(cloud)
    emr = EmrSettings("shards", "us-east-1")
    with pytest.raises(AwsError):
        found(cloud, Settings(fleet=fleet(), mode="fleet", emr=emr))


def test_nobody_starts_anything_while_it_is_ended() -> None:
    cloud = Cloud()
    group = {"AutoScalingGroupName": "shards.controller", "MaxSize": 1, "DesiredCapacity": 1}
    member = {"InstanceId": "i-0", "LifecycleState": "InService"}
    gone = {**group, "MaxSize": 0, "DesiredCapacity": 0, "Instances": []}
    cloud.answers(
        describe_auto_scaling_groups=[
            {"AutoScalingGroups": [{**group, "Instances": [member]}]},
            {"AutoScalingGroups": [gone]},
        ]
    )
    run(Removal(cloud, SETTINGS, fleet(), lambda _: None).destroy(delete_logs=False))
    order = operations(cloud, "update_auto_scaling_group", "update_job_queue", "terminate_job_flows")
    assert order == ["update_auto_scaling_group", "update_job_queue", "terminate_job_flows"]
    assert len(cloud.given("describe_auto_scaling_groups")) >= 2
