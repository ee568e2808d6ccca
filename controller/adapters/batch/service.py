"""AWS Batch's operations, as the backend needs them: many at a time where the service allows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from controller.adapters.batch.details import MARK
from runner.aws import Aws, AwsError, Reply, Trouble

AT_ONCE = 100
LONGEST_REASON = 1000
PAUSES = (1.0, 2.0, 4.0)

# What a queue holds that has not ended. The parent of an array is PENDING while its children run.
LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


class BatchService:
    """All raise AwsError. `calls` counts those made. What is throttled is tried again for some seconds, each time
    after a longer pause; `jitter` gives random numbers in [0, 1)."""

    def __init__(self, aws: Aws, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self._aws = aws
        self._jitter = jitter
        self.calls = 0

    async def submit(self, given: dict[str, Any]) -> str:
        return str((await self.call("submit_job", **given))["jobId"])

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
        return [str(found["jobId"]) async for found in self._pages(jobQueue=queue, filters=filters)]

    async def live(self, queue: str, prefix: str) -> list[str]:
        """Ids of those that have not ended."""
        return [
            str(found["jobId"])
            for status in LIVE
            async for found in self._pages(jobQueue=queue, jobStatus=status)
            if str(found["jobName"]).startswith(prefix)
        ]

    async def _pages(self, **asked: Any) -> AsyncIterator[Reply]:
        while True:
            reply = await self.call("list_jobs", **asked)
            for found in reply.get("jobSummaryList") or ():
                yield found
            if not reply.get("nextToken"):
                return
            asked["nextToken"] = reply["nextToken"]

    async def call(self, operation: str, **parameters: Any) -> Reply:
        for pause in PAUSES:
            self.calls += 1
            try:
                return await self._aws.call("batch", operation, **parameters)
            except AwsError as error:
                if error.trouble is not Trouble.THROTTLED:
                    raise
            await asyncio.sleep(pause * (0.5 + self._jitter() / 2))
        self.calls += 1
        return await self._aws.call("batch", operation, **parameters)


def may_have_happened(error: AwsError) -> bool:
    """Whether what was asked for may have been carried out all the same."""
    return error.trouble in (Trouble.UNREACHABLE, Trouble.SERVER)
