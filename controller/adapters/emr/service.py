"""Amazon EMR's operations, as the backend needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from controller.adapters.emr.replies import LIVE, Cluster, Machine, StepStatus, cluster, machine, step
from controller.adapters.managed.service import ManagedService
from runner.aws import AwsError, Reply, Trouble

TERMINATED_AT_ONCE = 10
UNKNOWN = frozenset({"InvalidRequestException", "ValidationException"})
# Its reference gives them the status 400, as if the request were at fault.
INTERNAL = frozenset({"InternalServerError", "InternalServerException"})
ROLES = ("MASTER", "CORE", "TASK")

Json = dict[str, Any]


class EmrService(ManagedService):
    service = "emr"

    async def run(self, given: Json) -> str:
        """Returns the new cluster's id."""
        return str((await self.call("run_job_flow", **given))["JobFlowId"])

    async def terminate(self, ids: Sequence[str]) -> None:
        """They go down in some minutes. One that is down already is left as it is."""
        for start in range(0, len(ids), TERMINATED_AT_ONCE):
            await self.call("terminate_job_flows", JobFlowIds=list(ids[start : start + TERMINATED_AT_ONCE]))

    async def live(self, prefix: str) -> list[Cluster]:
        """Those that are not on their way down and whose name begins so."""
        return [
            each async for each in self._clusters(ClusterStates=list(LIVE)) if each.name.startswith(prefix)
        ]

    async def named(self, name: str, since: float) -> list[Cluster]:
        """Those of that name, also ended ones, that were created after `since`; the oldest first."""
        after = datetime.fromtimestamp(since, UTC)
        found = [each async for each in self._clusters(CreatedAfter=after) if each.name == name]
        return sorted(found, key=lambda each: (each.created, each.id))

    async def describe(self, cluster_id: str) -> Cluster | None:
        """None: there is no such cluster, or it was forgotten."""
        try:
            reply = await self.call("describe_cluster", ClusterId=cluster_id)
        except AwsError as error:
            if error.code in UNKNOWN:
                return None
            raise
        return cluster(reply["Cluster"])

    async def steps(self, cluster_id: str, since: float = 0.0) -> list[StepStatus]:
        """Those created after `since`, the oldest first; none of a cluster that there is not."""
        found: list[StepStatus] = []
        try:
            async for page in self._pages("list_steps", "Steps", ClusterId=cluster_id):
                steps = [step(each) for each in page]
                found += [each for each in steps if each.created >= since]
                if any(each.created < since for each in steps):
                    break
        except AwsError as error:
            if error.code not in UNKNOWN:
                raise
        return found[::-1]

    async def machines(self, cluster_id: str) -> list[Machine]:
        """All that it had."""
        groups: dict[str, str] = {}
        async for page in self._pages("list_instance_groups", "InstanceGroups", ClusterId=cluster_id):
            groups |= {str(each["Id"]): str(each.get("InstanceGroupType") or "") for each in page}
        found: list[Machine] = []
        async for page in self._pages("list_instances", "Instances", ClusterId=cluster_id):
            found += [machine(each, groups) for each in page]
        return found

    async def add_step(self, cluster_id: str, given: Json) -> str:
        reply = await self.call("add_job_flow_steps", JobFlowId=cluster_id, Steps=[given])
        return str(reply["StepIds"][0])

    async def cancel(self, cluster_id: str, steps: Collection[str]) -> None:
        """Also those that run."""
        await self.call(
            "cancel_steps",
            ClusterId=cluster_id,
            StepIds=sorted(steps),
            StepCancellationOption="TERMINATE_PROCESS",
        )

    async def _once(self, operation: str, parameters: Json) -> Reply:
        try:
            return await super()._once(operation, parameters)
        except AwsError as error:
            if error.code in INTERNAL:
                error.trouble = Trouble.SERVER
            raise

    async def _clusters(self, **asked: Any) -> AsyncIterator[Cluster]:
        async for page in self._pages("list_clusters", "Clusters", **asked):
            for each in page:
                yield cluster(each)

    async def _pages(self, operation: str, key: str, **asked: Any) -> AsyncIterator[Sequence[Reply]]:
        while True:
            reply = await self.call(operation, **asked)
            yield reply.get(key) or ()
            if not reply.get("Marker"):
                return
            asked["Marker"] = reply["Marker"]
