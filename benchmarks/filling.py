"""Jobs with all their tasks finished, without running them.

Every row is written by the ledger's own verbs (register, unsent and sent, begin, finish), many to a
transaction; only the queue's messages and the commands themselves are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from controller.submission import new_job_id
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome, Status, TaskId, Usage
from runner.records import Verdict
from runner.settings import Settings
from runner.wiring import wall_clock

OWNER = "local-1#00000000"
BATCH = 1000


async def fill(settings: Settings, size: int, failed: int) -> str:
    """The id of a job of `size` tasks, all over, of which `failed`, evenly spread, did not succeed."""
    job = Job(
        id=new_job_id(),
        name="filled",
        command=("true",),
        array=Array.of_size(size),
        created_at=wall_clock(),
    )
    database = await Database.open(settings.home / "runner.db")
    try:
        records = SqliteRecords(database, wall_clock)
        ledger = SqliteLedger(database, wall_clock, lease=settings.agent.lease)
        await records.register(job)
        while (window := await records.unsent(job.id, BATCH)).indices:
            await records.sent(job.id, window)
            await _finish(ledger, job, window.indices, size // failed)
    finally:
        await database.close()
    return job.id


async def _finish(ledger: SqliteLedger, job: Job, indices: Sequence[int], step: int) -> None:
    begun = await asyncio.gather(*(ledger.begin(_lease(job, index), job, OWNER) for index in indices))
    await asyncio.gather(*(_end(ledger, attempt, step) for attempt in begun if isinstance(attempt, Attempt)))


async def _end(ledger: SqliteLedger, attempt: Attempt, step: int) -> None:
    now = wall_clock()
    usage = Usage(peak_memory=4 * 1024**2, cpu_seconds=0.01)
    if attempt.task.index % step:
        outcome = Outcome(Kind.SUCCEEDED, None, 0, usage=usage, started_at=now - 1, finished_at=now)
        await ledger.finish(attempt, outcome, Verdict(Status.SUCCEEDED))
        return
    outcome = Outcome(
        Kind.FAILED,
        Charge.USER,
        1,
        reason="exit code 1",
        usage=usage,
        started_at=now - 1,
        finished_at=now,
        tail=("no such file",),
    )
    await ledger.finish(attempt, outcome, Verdict(Status.FAILED, Charge.USER, reason="exit code 1"))


def _lease(job: Job, index: int) -> Lease:
    return Lease(TaskId(job.id, index), job.queue, str(index), "filled", 1, 0.0)
