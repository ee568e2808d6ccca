"""What the unfinished jobs ask for, channel by channel. Pure.

How many tasks wait or run is the ledger's to say, exactly and also of those not sent yet. The queue's counts are
approximate and late; they only tell where the tasks are that went to another channel than their job's, as after an
attempt that ran out of memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.errors import NotFound
from runner.records import Backlog, JobRecord
from runner.routing import Routes


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks of one shape on one channel. `memory` includes sidecars. At most `parallel` of them may run at a time.

    `sent`: those of them whose messages were sent. `running`: those that run, as far as is known. `seconds`: how long
    one takes; None: nothing is known of that, but they have run for `at_least` seconds so far.
    """

    channel: str
    tasks: int
    parallel: int
    sent: int
    vcpus: float
    memory: int
    seconds: float | None = None
    at_least: float = 0.0
    running: int = 0

    @property
    def waiting(self) -> int:
        """Tasks that another machine could begin."""
        return max(0, self.parallel - self.running)


def demand_of(record: JobRecord) -> int:
    """Tasks that wait to run or run. None while the job waits for others."""
    if record.released_at is None or record.ending is not None:
        return record.counts.running
    return record.counts.runnable + record.counts.running


def mean_seconds(record: JobRecord) -> float | None:
    """How long its ended tasks took, all attempts of each together; None if there are none."""
    ended = record.counts.succeeded + record.counts.failed
    return record.task_seconds / ended if ended else None


def loads(
    jobs: Sequence[JobRecord],
    routes: Routes,
    backlog: Mapping[str, Backlog],
    history: Mapping[str, float],
    now: float,
) -> list[Load]:
    """`history`: by job id, how long the tasks of an earlier job of that name took. Jobs whose queue is not in the
    settings any more ask for nothing: nobody takes their tasks."""
    direct = [load for record in jobs if (load := _load(record, routes, history, now)) is not None]
    return _moved(direct, routes, backlog)


def by_channel(found: Sequence[Load]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for load in found:
        counted[load.channel] += load.tasks
    return dict(counted)


def waiting_by_channel(found: Sequence[Load]) -> Mapping[str, int]:
    """A machine that only waits for tasks which run elsewhere to end need not stay: a day-long straggler would keep the
    whole fleet."""
    counted: Counter[str] = Counter()
    for load in found:
        counted[load.channel] += load.waiting
    return {channel: count for channel, count in counted.items() if count}


def _load(record: JobRecord, routes: Routes, history: Mapping[str, float], now: float) -> Load | None:
    tasks, job = demand_of(record), record.job
    if not tasks:
        return None
    try:
        channel = routes.channel(job, job.limits.memory)
    except NotFound:
        return None
    started, seconds = record.first_started_at, mean_seconds(record)
    return Load(
        channel=channel,
        tasks=tasks,
        parallel=tasks if job.max_parallel is None else min(tasks, job.max_parallel),
        sent=min(tasks, record.queued),
        vcpus=job.limits.vcpus,
        memory=job.limits.memory + job.sidecar_memory,
        seconds=history.get(job.id) if seconds is None else seconds,
        at_least=max(0.0, now - started) if started is not None and record.counts.running else 0.0,
        running=record.counts.running,
    )


def _moved(direct: Sequence[Load], routes: Routes, backlog: Mapping[str, Backlog]) -> list[Load]:
    """Where a channel holds more messages than its jobs account for, tasks of the queue's other channels have come to
    it. Their number in all stays the ledger's."""
    found = list(direct)
    sent: Counter[str] = Counter()
    for load in direct:
        sent[load.channel] += load.sent
    for channel, depth in backlog.items():
        excess = depth.total - sent[channel]
        if excess > 0 and channel in routes.channels:
            for donor in _other_channels(channel, routes):
                surplus = sent[donor] - (backlog[donor].total if donor in backlog else 0)
                taken = max(0, min(excess, surplus))
                excess -= taken
                found = list(_move(found, donor, channel, taken, routes))
    return found


def _other_channels(channel: str, routes: Routes) -> Iterator[str]:
    return (each for each in routes.channels_of_queue(routes.queue_of(channel)) if each != channel)


def _move(found: Sequence[Load], donor: str, channel: str, count: int, routes: Routes) -> Iterator[Load]:
    for load in found:
        taken = min(count, load.sent) if load.channel == donor else 0
        count -= taken
        if taken < load.tasks:
            left = load.tasks - taken
            yield replace(
                load,
                tasks=left,
                parallel=min(load.parallel, left),
                sent=load.sent - taken,
                running=min(load.running, left),
            )
        if taken:
            memory = _memory_there(load, channel, routes)
            yield replace(
                load, channel=channel, tasks=taken, parallel=taken, sent=taken, memory=memory, running=0
            )


def _memory_there(load: Load, channel: str, routes: Routes) -> int:
    """Whoever was sent to a larger class needs more than was asked for. How much is only known to the ledger: all."""
    there = routes.holds(channel).memory
    return load.memory if routes.holds(load.channel).memory == there else there
