"""What users ask of jobs: submit, cancel, retry."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from controller import scheduling
from controller.ports import Records
from runner.errors import NotFound
from runner.model import Job, Status
from runner.ports import Clock, Queue
from runner.records import Ending, JobRecord
from runner.routing import Routes

# No vowels, no look-alikes: an id is read aloud, typed, and never spells a word.
ALPHABET = "23456789bcdfghjkmnpqrstvwxz"
ID_LENGTH = 10


def new_job_id() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


@dataclass(frozen=True, slots=True)
class Submission:
    """The stored job, and whether this call stored it or found it by its idempotency key."""

    record: JobRecord
    created: bool


async def submit(records: Records, queue: Queue, job: Job, window: int, routes: Routes) -> Submission:
    """Store the job and send its first window, of at most `window`; 0: whoever leads sends it, as is always so with a
    job of a backend. Raises NotFound for a parent that does not exist, Conflict."""
    for parent in job.after:
        if await records.job(parent) is None:
            message = f"no such job to come after: {parent}"
            raise NotFound(message)
    record, created = await records.register(job)
    if created and window and not job.backend:
        await scheduling.enqueue(
            records, queue, record, scheduling.first_window(record, routes, window), routes
        )
    return Submission(await _read(records, record.job.id), created)


async def cancel(
    records: Records, record: JobRecord, now: Clock, reason: str = "cancelled by the user"
) -> bool:
    """False if it was over already. Running tasks stop at their next beat."""
    return await records.end(record.job.id, Ending(Status.CANCELLED, reason, now()))


@dataclass(frozen=True, slots=True)
class Reopened:
    record: JobRecord
    tasks: int


async def retry(records: Records, record: JobRecord, now: Clock, *, downstream: bool) -> Sequence[Reopened]:
    """Open a new round for the tasks that ended without success; with `downstream` also for the jobs that ended only
    because this one failed, and so on. The supervisor enqueues them. Jobs with nothing to retry are left out."""
    reopened = await _reopen(records, record, now)
    if downstream and reopened:
        for child in await records.jobs():
            if (
                record.job.id in child.job.after
                and child.status is Status.FAILED
                and child.ending is not None
            ):
                reopened.extend(await retry(records, child, now, downstream=True))
    return reopened


async def _reopen(records: Records, record: JobRecord, now: Clock) -> list[Reopened]:
    count = await records.reopen(record.job.id, now())
    return [Reopened(await _read(records, record.job.id), count)] if count else []


async def _read(records: Records, job_id: str) -> JobRecord:
    record = await records.job(job_id)
    if record is None:
        message = f"no such job: {job_id}"
        raise NotFound(message)
    return record
