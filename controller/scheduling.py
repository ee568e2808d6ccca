"""Puts a job's tasks on the queue a window at a time, so that neither a queue nor a crash ever holds too much.

And so that jobs share a queue fairly: what is on it cannot be overtaken, so a job has no more there than is taken from
it in a while, and no more than its share. The rest waits in the ledger, where it is in nobody's way.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from controller.demand import demand_of, mean_seconds
from controller.ports import Records
from runner.errors import NotFound
from runner.model import Job, Status, TaskId
from runner.ports import Queue
from runner.records import JobRecord, TaskRecord
from runner.routing import Routes

PER_SEND = 500

# A job's first window, while nobody knows how long its tasks take.
FIRST = 1000

# Seconds that what is on the queue should last.
AHEAD = 60.0

# A job's least window.
LEAST = 100


def windows(jobs: Sequence[JobRecord], routes: Routes, window: int) -> Mapping[str, int]:
    """By job id, how many of its tasks may be on the queue or running, of at most `window` for a channel's jobs
    together. Jobs whose queue is not in the settings get none."""
    channels = {record.job.id: channel for record in jobs if (channel := _channel(record, routes))}
    sharing = Counter(channels.values())
    return {
        record.job.id: min(window, depth(record), max(LEAST, window // sharing[channels[record.job.id]]))
        for record in jobs
        if record.job.id in channels
    }


def depth(record: JobRecord) -> int:
    """How many of the job's tasks should be on the queue or running: what runs, and as much again as is taken from the
    queue in a while."""
    seconds, running = mean_seconds(record), record.counts.running
    if seconds is None:
        return FIRST + 2 * running
    per_second = running / max(seconds, 0.001)
    return max(FIRST if not running else LEAST, 2 * running + LEAST, math.ceil(running + AHEAD * per_second))


def most_queued(record: JobRecord, window: int) -> int:
    """How many of the job's tasks may be on the queue or running."""
    if record.released_at is None or record.ending is not None:
        return 0
    return window if record.job.max_parallel is None else min(window, record.job.max_parallel)


async def enqueue(records: Records, queue: Queue, record: JobRecord, window: int, routes: Routes) -> int:
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
    begun = await _begun(records, record, planned.indices, routes) if record.round > 1 else {}
    await _send(queue, record.job, planned.indices, begun, routes)
    await records.sent(record.job.id, planned)
    return len(planned.indices)


async def resend(records: Records, queue: Queue, record: JobRecord, routes: Routes) -> int:
    """Send again every task that was sent and has not ended: its message is known to be gone."""
    last, count = -1, 0
    while indices := await records.outstanding(record.job.id, PER_SEND, last):
        begun = await _begun(records, record, indices, routes)
        await _send(queue, record.job, indices, begun, routes)
        last, count = indices[-1], count + len(indices)
    return count


async def _begun(
    records: Records, record: JobRecord, indices: Sequence[int], routes: Routes
) -> Mapping[int, TaskRecord]:
    """Those of the tasks that were tried before, so that each goes where its next attempt belongs."""
    if routes.fleet is None:
        return {}  # there is one place for all
    found = await records.tasks(
        record.job.id,
        statuses={Status.RUNNABLE, Status.RUNNING},
        after=min(indices) - 1,
        limit=max(indices) - min(indices) + 1,
    )
    return {task.task.index: task for task in found}


async def _send(
    queue: Queue, job: Job, indices: Sequence[int], begun: Mapping[int, TaskRecord], routes: Routes
) -> None:
    channels: defaultdict[str, list[TaskId]] = defaultdict(list)
    for index in indices:
        task = begun.get(index)
        memory = (task.memory if task else None) or job.limits.memory
        channel = routes.channel(job, memory, task.infra_failures if task else 0)
        channels[channel].append(TaskId(job.id, index))
    for channel, tasks in channels.items():
        for part in batched(tasks, PER_SEND):
            await queue.send(channel, part)


def _channel(record: JobRecord, routes: Routes) -> str | None:
    """Where the job's tasks go, if it has any to send."""
    if not demand_of(record) or record.ending is not None:
        return None
    try:
        return routes.channel(record.job, record.job.limits.memory)
    except NotFound:
        return None


def batched(tasks: Sequence[TaskId], size: int) -> Iterator[Sequence[TaskId]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]
