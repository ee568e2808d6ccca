"""The end of all that a fleet has on AWS Batch and Amazon EMR, in the order in which the services let it go: no more
jobs, no jobs, no queues, no instances."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from controller.deployment.batch_remains import (
    find_clusters,
    find_compute_environments,
    find_definitions,
    find_job_queues,
    find_jobs,
)
from controller.deployment.stacks import Say, pauses
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.errors import Unavailable
from runner.settings import FleetSettings, Settings

REASON = "the fleet is removed"

# What a step may take, in seconds, until somebody must look: instances take minutes to go.
PATIENCE = 1200.0

BUSY = frozenset({"CREATING", "UPDATING"})
CLUSTERS = 10  # as many as a request takes

Find = Callable[[Aws, FleetSettings], Awaitable[Sequence[Reply]]]


class BatchEnding:
    """All raise AwsError, and Unavailable for what does not go whatever is done."""

    def __init__(self, aws: Aws, settings: Settings, fleet: FleetSettings, say: Say) -> None:
        self._aws = aws
        self._settings = settings
        self._fleet = fleet
        self._say = say
        self._ended: set[str] = set()

    async def run(self) -> None:
        await self._if_used(self._end_batch(), self._settings.batch)
        await self._if_used(self._end_clusters(), self._settings.emr)

    async def _if_used(self, work: Awaitable[None], used: object | None) -> None:
        """Where the settings use no such service (any more), one need not have the right to."""
        try:
            await work
        except AwsError as error:
            if used is not None or error.trouble is not Trouble.DENIED:
                raise

    async def _end_batch(self) -> None:
        await self._until("job queues do not close", self._close_queues)
        await self._until("jobs do not end", self._end_jobs)
        await self._until("compute environments do not close", self._close_environments)
        await self._until("job queues do not go", self._delete_queues)
        await self._until("compute environments do not go", self._delete_environments)
        for arn in await find_definitions(self._aws, self._fleet):
            await self._batch("deregister_job_definition", jobDefinition=arn)

    async def _end_clusters(self) -> None:
        await self._until("clusters do not go", self._terminate_clusters)

    async def _until(self, trouble: str, step: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """Until the step names nothing any more that it waits for."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for pause in pauses():
            left = await step()
            if not left:
                return
            if loop.time() - begun > PATIENCE:
                message = f"{trouble}: {', '.join(sorted(left))}; look at them, then try again"
                raise Unavailable(message)
            await asyncio.sleep(pause)

    async def _close_queues(self) -> Sequence[str]:
        """From then on they take no jobs, whoever submits some."""
        left = []
        for queue in await find_job_queues(self._aws, self._fleet):
            if _settled(queue) and queue["state"] == "DISABLED":
                continue
            left.append(name := str(queue["jobQueueName"]))
            if _settled(queue):
                self._say(f"{name}: closing")
                await self._batch("update_job_queue", jobQueue=name, state="DISABLED")
        return left

    async def _end_jobs(self) -> Sequence[str]:
        queues = await find_job_queues(self._aws, self._fleet)
        left = [job for queue in queues for job in await find_jobs(self._aws, str(queue["jobQueueName"]))]
        wanted = [job for job in left if job not in self._ended]
        if wanted:
            self._say(f"{len(wanted)} job{'s' * (len(wanted) > 1)} to end")
        for job in wanted:
            await self._batch("terminate_job", jobId=job, reason=REASON)
            self._ended.add(job)
        return left

    async def _close_environments(self) -> Sequence[str]:
        """What is to be none stays none: else idle instances would be kept."""
        left = []
        for environment in await find_compute_environments(self._aws, self._fleet):
            if _settled(environment) and environment["state"] == "DISABLED":
                continue
            left.append(name := str(environment["computeEnvironmentName"]))
            if _settled(environment):
                self._say(f"{name}: closing")
                none = {"minvCpus": 0}
                await self._batch(
                    "update_compute_environment",
                    computeEnvironment=name,
                    state="DISABLED",
                    computeResources=none,
                )
        return left

    async def _delete_queues(self) -> Sequence[str]:
        """The ones before the environments that serve them."""
        return await self._delete(find_job_queues, "jobQueue", "delete_job_queue")

    async def _delete_environments(self) -> Sequence[str]:
        """With their instances."""
        return await self._delete(
            find_compute_environments, "computeEnvironment", "delete_compute_environment"
        )

    async def _delete(self, find: Find, kind: str, operation: str) -> Sequence[str]:
        left = []
        for each in await find(self._aws, self._fleet):
            left.append(name := str(each[f"{kind}Name"]))
            if each.get("status") not in BUSY | {"DELETING"}:
                self._say(f"{name}: deleting")
                await self._batch(operation, **{kind: name})
        return left

    async def _terminate_clusters(self) -> Sequence[str]:
        left = await find_clusters(self._aws, self._fleet)
        wanted = [each for each in left if each not in self._ended]
        for start in range(0, len(wanted), CLUSTERS):
            some = wanted[start : start + CLUSTERS]
            self._say(f"clusters to end: {', '.join(some)}")
            await self._aws.call("emr", "terminate_job_flows", JobFlowIds=some)
            self._ended.update(some)
        return left

    async def _batch(self, operation: str, **parameters: Any) -> None:
        await self._aws.call("batch", operation, **parameters)


def _settled(found: Reply) -> bool:
    """Whether it may be changed now."""
    return found.get("status") not in BUSY
