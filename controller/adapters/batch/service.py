"""AWS Batch's operations, as the backend needs them: many at a time where the service allows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from controller.adapters.batch.details import MARK
from controller.adapters.managed.service import ManagedService
from runner.aws import AwsError, Reply, Trouble

AT_ONCE = 100
LONGEST_REASON = 1000

# What a queue holds that has not ended. The parent of an array is PENDING while its children run.
LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


# The statuses in which an enabled queue takes jobs.
OPEN = ("VALID", "UPDATING")


class BatchService(ManagedService):
    service = "batch"

    async def submit(self, given: dict[str, Any]) -> str:
        return str((await self.call("submit_job", **given))["jobId"])

    async def takes_jobs(self, queue: str) -> bool:
        found = await self._queues(queue)
        return any(each.get("state") == "ENABLED" and each.get("status") in OPEN for each in found)

    async def _queues(self, name: str) -> Sequence[Reply]:
        """The one of that name, if there is one."""
        reply = await self.call("describe_job_queues", jobQueues=[name])
        found: Sequence[Reply] = reply.get("jobQueues") or ()
        return found

    async def terminate(self, job_id: str, reason: str) -> None:
        """By its id: the service knows no other name, and does nothing without saying so. CancelJob would leave alone
        what runs."""
        await self.call("terminate_job", jobId=job_id, reason=f"{MARK}{reason}"[:LONGEST_REASON])

    async def describe(self, ids: Sequence[str]) -> dict[str, Reply]:
        """By id; what the service does not know is left out."""
        found: dict[str, Reply] = {}
        for start in range(0, len(ids), AT_ONCE):
            reply = await self.call("describe_jobs", jobs=list(ids[start : start + AT_ONCE]))
            found |= {str(each["jobId"]): each for each in reply.get("jobs") or ()}
        return found

    async def children(self, parent: str, status: str) -> AsyncIterator[str]:
        async for found in self._pages(arrayJobId=parent, jobStatus=status):
            yield str(found["jobId"])

    async def named(self, queue: str, prefix: str) -> list[str]:
        """Ids of all jobs on the queue, also ended ones, whose name begins so."""
        filters = [{"name": "JOB_NAME", "values": [f"{prefix}*"]}]
        return [str(found["jobId"]) async for found in self._on(queue, filters=filters)]

    async def live(self, queue: str, prefix: str) -> list[str]:
        """Ids of those that have not ended."""
        return [
            str(found["jobId"])
            for status in LIVE
            async for found in self._on(queue, jobStatus=status)
            if str(found["jobName"]).startswith(prefix)
        ]

    async def _on(self, queue: str, **asked: Any) -> AsyncIterator[Reply]:
        """Nothing, where there is no such queue (yet): that is for those to say who need it."""
        try:
            async for found in self._pages(jobQueue=queue, **asked):
                yield found
        except AwsError as error:
            if error.trouble is not Trouble.REFUSED or await self._queues(queue):
                raise

    async def _pages(self, **asked: Any) -> AsyncIterator[Reply]:
        while True:
            reply = await self.call("list_jobs", **asked)
            for found in reply.get("jobSummaryList") or ():
                yield found
            if not reply.get("nextToken"):
                return
            asked["nextToken"] = reply["nextToken"]
