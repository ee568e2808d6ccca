"""Amazon EMR behind the `Aws` port, as its API reference and management guide describe it, in the event loop's time.

Emulated: clusters with instance groups from STARTING to TERMINATED, that go down after their steps or stay; steps one
after the other, with what a failure of each does; their states, times and reasons; TerminateJobFlows and CancelSteps,
which are asynchronous; listings in pages of 50, clusters in no order, steps the latest first; clusters that a listing
learns late (`lag`); bootstrap and validation failures, lost machines; throttling (`per_second`); clusters forgotten
after two months.

What the documents leave open is decided so: RunJobFlow with the same parameters makes another cluster (it has no client
token); an id that nobody has is refused with InvalidRequestException; a cluster whose steps failed but were to continue
ends TERMINATED with STEP_FAILURE, as people's rules for its events say; steps of a cluster whose machines are lost are
INTERRUPTED, of one that is terminated CANCELLED.

Not emulated: instance fleets, scaling, concurrent steps, idle termination.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any

from controller.simulation.clock import now, outside
from controller.simulation.services.emr_cluster import (
    LIVE,
    Cluster,
    Instance,
    Json,
    Pace,
    Program,
    Step,
)
from controller.simulation.services.service import RateLimited, refused
from runner.aws import AwsError, Reply

PAGE = 50
MOST_STEPS = 256
LONGEST_STEP = 10_240
MOST_TERMINATED = 10
KEPT = 61 * 86400.0

_RELEASE = re.compile(r"emr-[0-9]+\.[0-9]+\.[0-9]+")
_FORBIDDEN = re.compile(r"[<>$|`]")


class SimulatedEmr(RateLimited):
    """`program`: what a step does with its words."""

    service = "emr"

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.pace = Pace()
        self.clusters: dict[str, Cluster] = {}
        self.trouble: dict[str, tuple[str, str]] = {}
        self.lag = 0.0
        self._numbers = count(1)

    def alive(self) -> list[Cluster]:
        """Those that cost something and do not go down by themselves just now."""
        return [each for each in self.clusters.values() if each.alive]

    def add(self, name: str = "theirs", **given: Any) -> Cluster:
        """One that is there already, and stays."""
        asked = {"Name": name, "Instances": {"KeepJobFlowAliveWhenNoSteps": True}, **given}
        cluster = self._new(asked)
        cluster.state, cluster.ready = "WAITING", now()
        return cluster

    def lose(self, cluster: Cluster, role: str) -> Instance:
        """One machine of that role is reclaimed. The cluster goes down with its only main one."""
        instance = next(each for each in cluster.instances if role in each.group and each.ended is None)
        spot = instance.market == "SPOT"
        reason = "Instance was terminated: " + ("Spot interruption" if spot else "status check failed")
        instance.end("INSTANCE_FAILURE", reason)
        if role == "MASTER":
            outside(cluster.go_down, "INSTANCE_FAILURE", "The master node was terminated")
        return instance

    def _run_job_flow(self, **given: Any) -> Reply:
        _check_cluster(given)
        cluster = self._new(given)
        cluster.trouble = dict(self.trouble)
        cluster.steps = [self._step(each) for each in given.get("Steps") or ()]
        outside(cluster.begin)
        return {"JobFlowId": cluster.id, "ClusterArn": cluster.summarized()["ClusterArn"]}

    def _new(self, given: Json) -> Cluster:
        keep = bool(given["Instances"].get("KeepJobFlowAliveWhenNoSteps"))
        cluster = Cluster(f"j-{next(self._numbers):013d}", given, self.program, self.pace, now(), keep)
        for group in given["Instances"].get("InstanceGroups") or ():
            for at in range(group["InstanceCount"]):
                cluster.instances.append(
                    Instance(
                        id=f"i-{cluster.id[-4:]}{group['InstanceRole'].lower()}{at}",
                        group=f"ig-{group['InstanceRole']}",
                        type=group["InstanceType"],
                        market=group.get("Market", "ON_DEMAND"),
                        created=now(),
                    )
                )
        self.clusters[cluster.id] = cluster
        return cluster

    def _step(self, given: Json) -> Step:
        return Step(f"s-{next(self._numbers):013d}", given, now())

    def _find(self, cluster_id: str) -> Cluster:
        cluster = self.clusters.get(cluster_id)
        if cluster is None or now() - cluster.created > KEPT:
            raise _invalid(f"Cluster id '{cluster_id}' is not valid.")
        return cluster

    def _describe_cluster(self, ClusterId: str) -> Reply:
        return {"Cluster": self._find(ClusterId).described()}

    def _list_clusters(
        self,
        CreatedAfter: datetime | float | None = None,
        ClusterStates: Sequence[str] = (),
        Marker: str = "0",
    ) -> Reply:
        after = CreatedAfter.timestamp() if isinstance(CreatedAfter, datetime) else CreatedAfter or 0.0
        found = [
            each.summarized()
            for each in self.clusters.values()
            if each.created >= after
            and self.lag <= now() - each.created <= KEPT
            and (not ClusterStates or each.state in ClusterStates)
        ]
        # In no order that anybody might rely on.
        return _page("Clusters", sorted(found, key=lambda each: str(each["Id"])[::-1]), Marker)

    def _list_steps(self, ClusterId: str, Marker: str = "0") -> Reply:
        return _page("Steps", [each.described() for each in reversed(self._find(ClusterId).steps)], Marker)

    def _list_instance_groups(self, ClusterId: str) -> Reply:
        groups = {each.group for each in self._find(ClusterId).instances}
        found = [{"Id": each, "InstanceGroupType": each.removeprefix("ig-")} for each in sorted(groups)]
        return {"InstanceGroups": found}

    def _list_instances(self, ClusterId: str, Marker: str = "0") -> Reply:
        return _page("Instances", [each.described() for each in self._find(ClusterId).instances], Marker)

    def _add_job_flow_steps(self, JobFlowId: str, Steps: Sequence[Json]) -> Reply:
        cluster = self.clusters.get(JobFlowId)
        if cluster is None:
            raise _validation(f"Specified job flow ID {JobFlowId} does not exist.")
        if cluster.state not in LIVE:
            raise _validation(
                "A job flow that is shutting down, terminated, or finished may not be modified."
            )
        if sum(step.state in ("PENDING", "RUNNING") for step in cluster.steps) + len(Steps) > MOST_STEPS:
            raise _validation(
                "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
            )
        for given in Steps:
            _check_step(given)
        added = [self._step(each) for each in Steps]
        cluster.steps += added
        if cluster.state == "WAITING":
            outside(cluster.next_step)
        return {"StepIds": [each.id for each in added]}

    def _cancel_steps(
        self, ClusterId: str, StepIds: Sequence[str], StepCancellationOption: str = ""
    ) -> Reply:
        cluster = self._find(ClusterId)
        told = []
        for step in cluster.steps:
            if step.id not in StepIds:
                continue
            if step.state in ("PENDING", "RUNNING"):
                step.state = "CANCEL_PENDING" if step.state == "RUNNING" else step.state
                outside(asyncio.get_running_loop().call_later, 5.0, cluster.cancel_step, step)
                told.append({"StepId": step.id, "Status": "SUBMITTED"})
            else:
                told.append({"StepId": step.id, "Status": "FAILED", "Reason": f"is {step.state}"})
        return {"CancelStepsInfoList": told}

    def _terminate_job_flows(self, JobFlowIds: Sequence[str]) -> None:
        if len(JobFlowIds) > MOST_TERMINATED:
            raise _validation("Too many clusters")
        for each in JobFlowIds:
            outside(self._find(each).go_down, "USER_REQUEST", "Terminated by user request")


def _check_cluster(given: Json) -> None:
    if len(given["Name"]) > 256 or _FORBIDDEN.search(given["Name"]):
        raise _validation("The cluster name is not valid")
    if not _RELEASE.match(given.get("ReleaseLabel", "")):
        raise _validation(f"The supplied release label is invalid: {given.get('ReleaseLabel')}.")
    groups = given["Instances"].get("InstanceGroups") or ()
    roles = [group["InstanceRole"] for group in groups]
    if roles.count("MASTER") != 1 or len(set(roles)) != len([each for each in roles if each != "TASK"]) + (
        "TASK" in roles
    ):
        raise _validation("Exactly one master and at most one core instance group are needed.")
    if any("BidPrice" in group and group.get("Market") != "SPOT" for group in groups):
        raise _validation("BidPrice is for Spot instances only.")
    if not given.get("ServiceRole") or not given.get("JobFlowRole"):
        raise _validation("ServiceRole and JobFlowRole are required.")
    if len(given.get("Steps") or ()) > MOST_STEPS:
        raise _validation("Maximum number of steps exceeded")
    for step in given.get("Steps") or ():
        _check_step(step)


def _check_step(given: Json) -> None:
    jar = given["HadoopJarStep"]
    if len(given["Name"]) > 256 or _FORBIDDEN.search(given["Name"]):
        raise _validation("The step name is not valid")
    if len(jar["Jar"]) + sum(map(len, jar.get("Args") or ())) > LONGEST_STEP:
        raise _validation("Size of an individual step exceeds the maximum allowed")


def _page(key: str, found: Sequence[Json], marker: str) -> Reply:
    begin = int(marker)
    more = {"Marker": str(begin + PAGE)} if begin + PAGE < len(found) else {}
    return {key: list(found[begin : begin + PAGE]), **more}


def _invalid(message: str) -> AwsError:
    return refused("InvalidRequestException", message)


def _validation(message: str) -> AwsError:
    return refused("ValidationException", message)
