"""What the unfinished jobs ask for, channel by channel. Pure.

How many tasks wait or run is the ledger's to say, exactly and also of those not sent yet. The queue's counts are
approximate and late; they only tell where the tasks are that went to another channel than their job's, as after an
attempt that ran out of memory, and whether what waits can be begun or waits for its next try.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from controller.depths import Believed, at_once
from controller.pace import Pace, plain_pace
from runner.errors import NotFound
from runner.records import Backlog, JobRecord
from runner.routing import Routes


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks of one shape on one channel. `memory` includes sidecars. At most `parallel` of them may run at a time.

    `sent`: those of them whose messages were sent. `running`: those that run, as far as is known. `hidden`: those that
    wait for their next try, where nobody could begin them. `seconds`: how long one takes, None: nothing is known of
    that; but one has been running for `at_least` seconds. `apart`: seconds between jobs of its queue lately.
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
    hidden: int = 0
    apart: float = math.inf

    @property
    def waiting(self) -> int:
        """Tasks that another machine could begin."""
        return max(0, self.parallel - self.running - self.hidden)


def demand_of(record: JobRecord) -> int:
    """Tasks that wait to run or run. None while the job waits for others."""
    if record.released_at is None or record.ending is not None:
        return record.counts.running
    return record.counts.runnable + record.counts.running


def loads(
    jobs: Sequence[JobRecord],
    routes: Routes,
    backlog: Mapping[str, Backlog],
    history: Mapping[str, float],
    now: float,
    *,
    believed: Believed | None = None,
    paces: Mapping[str, Pace] | None = None,
) -> list[Load]:
    """`history`: by job id, how long the tasks of an earlier job of that name took. Jobs whose queue is not in the
    settings any more ask for nothing: nobody takes their tasks. `believed`: what the counts said for a while; None:
    these are exact. `paces`: by job id, what was seen of it over time."""
    direct = [
        load
        for record in jobs
        if (load := _load(record, routes, _pace(record, history, paces or {}, now))) is not None
    ]
    believed = at_once(backlog, _sent(direct)) if believed is None else believed
    moved = _moved(direct, routes, backlog, believed)
    present = [_out_of_sight(load) if load.channel in believed.quiet else load for load in moved]
    return list(_left_behind(present, believed.left))


def known_by_channel(
    jobs: Sequence[JobRecord], routes: Routes
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Tasks whose messages went to the channel of their job's first attempts and have not ended, and those of them that
    run, as far as the ledger knows."""
    direct = [load for record in jobs if (load := _load(record, routes, Pace())) is not None]
    return _sent(direct), _running(direct)


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


def _pace(record: JobRecord, history: Mapping[str, float], paces: Mapping[str, Pace], now: float) -> Pace:
    plain, seen = plain_pace(record, now), paces.get(record.job.id, Pace())
    known = (plain.seconds, seen.seconds, history.get(record.job.id) if record.round == 1 else None)
    seconds = next((each for each in known if each is not None), None)
    return Pace(seconds, max(plain.at_least, seen.at_least), seen.apart)


def _load(record: JobRecord, routes: Routes, pace: Pace) -> Load | None:
    tasks, job = demand_of(record), record.job
    if not tasks:
        return None
    try:
        channel = routes.channel(job, job.limits.memory)
    except NotFound:
        return None
    return Load(
        channel=channel,
        tasks=tasks,
        parallel=tasks if job.max_parallel is None else min(tasks, job.max_parallel),
        sent=min(tasks, record.queued),
        vcpus=job.limits.vcpus,
        memory=job.limits.memory + job.sidecar_memory,
        seconds=pace.seconds,
        at_least=pace.at_least,
        apart=pace.apart,
        running=record.counts.running,
    )


def _sent(direct: Sequence[Load]) -> Mapping[str, int]:
    sent: Counter[str] = Counter()
    for load in direct:
        sent[load.channel] += load.sent
    return sent


def _running(direct: Sequence[Load]) -> Mapping[str, int]:
    running: Counter[str] = Counter()
    for load in direct:
        running[load.channel] += load.running
    return running


def _out_of_sight(load: Load) -> Load:
    """What was sent and does not run is not to be seen on the channel: nobody could begin it."""
    return replace(load, hidden=max(load.hidden, load.sent - load.running))


def _left_behind(found: Sequence[Load], left: Mapping[str, int]) -> Iterator[Load]:
    """What the ledger has as running and does not run: its machine has gone, and nobody has come to take it over."""
    remaining = Counter(left)
    for load in found:
        lost = min(remaining[load.channel], load.running)
        remaining[load.channel] -= lost
        yield replace(load, running=load.running - lost) if lost else load


class _Shift(NamedTuple):
    """Tasks that came to another channel: so many; of them at most `running` were begun there, and `held` were begun or
    are hidden there."""

    tasks: int
    running: int
    held: int


def _moved(
    direct: Sequence[Load], routes: Routes, backlog: Mapping[str, Backlog], believed: Believed
) -> list[Load]:
    """Where a channel holds more messages than its jobs account for, tasks of the queue's other channels have come to
    it. Their number in all stays the ledger's."""
    found = list(direct)
    running = _running(direct)
    missing = {channel: -excess for channel, excess in believed.excess.items() if excess < 0}
    for channel, excess in believed.excess.items():
        for donor in _other_channels(channel, routes) if excess > 0 and channel in routes.channels else ():
            taken = min(excess, missing.get(donor, 0))
            excess -= taken
            missing[donor] = missing.get(donor, 0) - taken
            held = _out_of_reach(backlog[channel]) - running[channel]
            away = running[donor] - (backlog[donor].in_flight if donor in backlog else 0)
            shift = _Shift(taken, max(0, min(away, held)), max(0, held))
            found = list(_move(found, donor, channel, shift, routes))
    return found


def _out_of_reach(depth: Backlog) -> int:
    return depth.in_flight + depth.delayed


def _other_channels(channel: str, routes: Routes) -> Iterator[str]:
    return (each for each in routes.channels_of_queue(routes.queue_of(channel)) if each != channel)


def _move(found: Sequence[Load], donor: str, channel: str, shift: _Shift, routes: Routes) -> Iterator[Load]:
    """What runs has its machine, wherever it is: so as many of those that came run there as cannot run where they came
    from."""
    for load in found:
        taken = min(shift.tasks, load.sent) if load.channel == donor else 0
        if not taken:
            yield load
            continue
        running = min(taken, load.running, shift.running)
        held = max(running, min(taken, shift.held))
        shift = _Shift(shift.tasks - taken, shift.running - running, shift.held - held)
        if taken < load.tasks:
            yield _stayed(load, load.tasks - taken, taken, running)
        yield replace(
            load,
            channel=channel,
            tasks=taken,
            parallel=taken,
            sent=taken,
            memory=_memory_there(load, channel, routes),
            running=running,
            hidden=held - running,
        )


def _stayed(load: Load, tasks: int, taken: int, running: int) -> Load:
    return replace(
        load,
        tasks=tasks,
        parallel=min(load.parallel, tasks),
        sent=load.sent - taken,
        running=min(load.running - running, tasks),
    )


def _memory_there(load: Load, channel: str, routes: Routes) -> int:
    """Whoever was sent to a larger class needs more than was asked for. How much is only known to the ledger: all."""
    there = routes.holds(channel).memory
    return load.memory if routes.holds(load.channel).memory == there else there
