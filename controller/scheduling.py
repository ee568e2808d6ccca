"""Puts a job's tasks on the queue a window at a time, so that neither a queue nor a crash ever holds too much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.ports import Records
from runner.model import TaskId
from runner.ports import Queue
from runner.records import JobRecord

PER_SEND = 500


def most_queued(record: JobRecord, window: int) -> int:
    """How many of the job's tasks may be on the queue or running."""
    if record.released_at is None or record.ending is not None:
        return 0
    return window if record.job.max_parallel is None else min(window, record.job.max_parallel)


async def enqueue(records: Records, queue: Queue, record: JobRecord, window: int) -> int:
    """Send what is allowed, then move the cursor: a crash in between repeats at most this window, and each repeat is
    refused by the ledger. Returns how many were sent."""
    most = most_queued(record, window)
    missing = most - record.queued
    # Small refills cost a query and a transaction each; wait until a fair part of the window is missing.
    if missing <= 0 or (record.job.max_parallel is None and record.queued and missing < window // 4):
        return 0
    planned = await records.unsent(record.job.id, most)
    if not planned.indices:
        return 0
    for part in batched(planned.indices, PER_SEND):
        await queue.send(record.job.queue, [TaskId(record.job.id, index) for index in part])
    await records.sent(record.job.id, planned)
    return len(planned.indices)


async def resend(records: Records, queue: Queue, record: JobRecord) -> int:
    """Send again every task that was sent and has not ended: its message is known to be gone."""
    last, count = -1, 0
    while indices := await records.outstanding(record.job.id, PER_SEND, last):
        await queue.send(record.job.queue, [TaskId(record.job.id, index) for index in indices])
        last, count = indices[-1], count + len(indices)
    return count


def batched(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
