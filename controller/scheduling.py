"""Puts a job's tasks on the queue a window at a time, so that neither a queue nor a crash ever holds too much.

And so that a queue is shared fairly: what is on it cannot be overtaken, so there is no more on it than its machines
take in a while. Users have equal parts of that, and a user's jobs equal parts of the user's; what one does not need the
others have. The rest waits in the ledger, where it is in nobody's way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from controller.demand import demand_of
from controller.pace import mean_seconds
from controller.ports import Records
from controller.sizing import slots
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

# So many wait beside as many as run: with each step twice as many may run, from nothing.
FEW = 10

K = TypeVar("K")


def windows(jobs: Sequence[JobRecord], routes: Routes, window: int) -> Mapping[str, int]:
    """By job id, how many of its tasks may be on the queue or running. Of a channel's jobs together, at most `window`
    tasks wait on it. Jobs whose queue is not in the settings get none."""
    channels: defaultdict[str, list[JobRecord]] = defaultdict(list)
    for record in jobs:
        if (channel := _channel(record, routes)) is not None:
            channels[channel].append(record)
    found: dict[str, int] = {}
    for sharing in channels.values():
        found |= _windows(sharing, routes, window)
    return found


def _windows(sharing: Sequence[JobRecord], routes: Routes, window: int) -> Mapping[str, int]:
    """Of jobs on one channel. What runs there has left the queue, and leaves room on it."""
    running = {record.job.id: record.counts.running for record in sharing}
    wanted: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for record in sharing:
        most = min(demand_of(record), depth(record, routes))
        wanted[record.job.user][record.job.id] = most_queued(record, most)
    whole = min(window + sum(running.values()), _taken_in_a_while(sharing, routes, window))
    found = _shared_by_users(whole, wanted)
    waiting = {
        user: {job: ahead for job in jobs if (ahead := found[job] - running[job]) > 0}
        for user, jobs in wanted.items()
    }
    allowed = _shared_by_users(window, {user: jobs for user, jobs in waiting.items() if jobs})
    return {**found, **{job: running[job] + ahead for job, ahead in allowed.items()}}


def _shared_by_users(whole: int, wanted: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """By job id. `wanted`: by user and job id."""
    parts = shared(whole, {user: sum(jobs.values()) for user, jobs in wanted.items()})
    found: dict[str, int] = {}
    for user, jobs in wanted.items():
        found |= shared(parts[user], jobs)
    return found


def shared(whole: int, wanted: Mapping[K, int]) -> Mapping[K, int]:
    """To each what it wants as far as that is no more than an equal part, of which what others leave is also a part.
    To each at least one, or of many none would ever move."""
    found: dict[K, int] = {}
    left = whole
    for at, (key, want) in enumerate(sorted(wanted.items(), key=lambda each: each[1])):
        found[key] = min(want, max(1, left // (len(wanted) - at)))
        left -= found[key]
    return found


def depth(record: JobRecord, routes: Routes) -> int:
    """How many of the job's tasks should be on the queue or running: what runs, and as much again as is taken from the
    queue in a while."""
    seconds, running = _seconds(record), record.counts.running
    taken = _taken_in_a_while([record], routes, FIRST)
    if seconds is None:
        return min(FIRST, taken) + 2 * running
    if not running:
        return taken  # as much as all machines take
    return max(2 * running + FEW, math.ceil(running + AHEAD * running / max(seconds, 0.001)))


def first_window(record: JobRecord, routes: Routes, window: int) -> int:
    return min(window, depth(record, routes))


def most_queued(record: JobRecord, window: int) -> int:
    """How many of the job's tasks may be on the queue or running."""
    if record.released_at is None or record.ending is not None:
        return 0
    return window if record.job.max_parallel is None else min(window, record.job.max_parallel)


def _taken_in_a_while(sharing: Iterable[JobRecord], routes: Routes, unknown: int) -> int:
    """How many tasks all the machines that the channel may have run at a time, and as many again; of short ones, what
    they take in a while. `unknown`: where the settings do not tell how many machines there may be."""
    if routes.fleet is None:
        return unknown
    return max(_slots(record, routes) * max(2, _rounds(record)) for record in sharing)


def _rounds(record: JobRecord) -> int:
    seconds = _seconds(record)
    return 0 if seconds is None else math.ceil(AHEAD / max(seconds, 0.001))


def _seconds(record: JobRecord) -> float | None:
    """What is tried anew is not like what ended before."""
    return mean_seconds(record) if record.round == 1 else None


def _slots(record: JobRecord, routes: Routes) -> int:
    """How many of the job's tasks the machines of its channel hold when there are as many as there may be."""
    job, fleet = record.job, routes.fleet
    if fleet is None:
        return 0
    memory = job.limits.memory + job.sidecar_memory
    most = sum(
        fleet.environments[name].maximum * slots(job.limits.vcpus, memory, routes.machine(name))
        for name in routes.environments_of(routes.channel(job, job.limits.memory))
    )
    return max(most, record.counts.running)


async def enqueue(records: Records, queue: Queue, record: JobRecord, window: int, routes: Routes) -> int:
    """Send what is allowed, then move the cursor: a crash in between repeats at most this window, and each repeat is
    refused by the ledger. Returns how many were sent."""
    most = most_queued(record, window)
    missing = most - record.queued
    if missing <= 0 or (record.job.max_parallel is None and record.queued and missing < _lot(record, window)):
        return 0
    planned = await records.unsent(record.job.id, most)
    if not planned.indices:
        return 0
    begun = await _begun(records, record, planned.indices, routes) if record.round > 1 else {}
    await _send(queue, record.job, planned.indices, begun, routes)
    await records.sent(record.job.id, planned)
    return len(planned.indices)


def _lot(record: JobRecord, window: int) -> int:
    """Small refills cost a query and a transaction each; so many must be missing. Where more run than may wait, a part
    of all would never be."""
    return min(window // 4, (window - record.counts.running) // 2)


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
