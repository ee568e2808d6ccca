"""How long a job's tasks take, as far as it shows: from those that ended, and from those that do not end.

The sums in a job's record are of all its rounds. What `retry` opens again is not like what ended before: of ten
thousand tasks those that took an hour are left, not those that took a second. And a mean says nothing of a slow tail
while it runs. How far apart jobs come is remembered, too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from runner.records import JobRecord

# Of so many jobs of a queue it is looked at how far apart they came.
REMEMBERED = 6


@dataclass(frozen=True, slots=True)
class Pace:
    """`seconds`: how long tasks took that ended in this round, all attempts of each together; None if none is known to
    have. `at_least`: for so many seconds the oldest of those that run has been running, as far as is known. `apart`:
    seconds between jobs of its queue lately; infinite: not known."""

    seconds: float | None = None
    at_least: float = 0.0
    apart: float = math.inf


@dataclass(frozen=True, slots=True)
class _Course:
    """`first`: the job as it was first seen in its round. By `marked_at`, `begun` tasks had begun, ended ones included:
    until so many have ended, one of them still runs."""

    first: JobRecord
    marked_at: float
    begun: int


class Paces:
    """Remembers how jobs stood. A new controller knows less, and so takes tasks for shorter at first."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}
        self._released: Set[str] = frozenset()
        self._arrivals: dict[str, deque[float]] = {}

    def observe(self, jobs: Sequence[JobRecord], now: float) -> Mapping[str, Pace]:
        """By job id. `now` is a steady time, such as the event loop's."""
        self._courses = {
            record.job.id: _followed(self._courses.get(record.job.id), record, now) for record in jobs
        }
        self._remember_arrivals({record.job.id: record for record in jobs if record.released_at is not None})
        return {
            record.job.id: replace(
                _pace(self._courses[record.job.id], record, now), apart=self._apart(record.job.queue)
            )
            for record in jobs
        }

    def _remember_arrivals(self, released: Mapping[str, JobRecord]) -> None:
        fresh = [record for job_id, record in released.items() if job_id not in self._released]
        for record in sorted(fresh, key=lambda record: record.released_at or 0.0):
            arrivals = self._arrivals.setdefault(record.job.queue, deque(maxlen=REMEMBERED))
            arrivals.append(record.released_at or 0.0)
        self._released = released.keys()

    def _apart(self, queue: str) -> float:
        arrivals = self._arrivals.get(queue, ())
        return (max(arrivals) - min(arrivals)) / (len(arrivals) - 1) if len(arrivals) > 1 else math.inf


def mean_seconds(record: JobRecord) -> float | None:
    """How long its ended tasks took in all rounds, all attempts of each together; None if there are none."""
    return record.task_seconds / _ended(record) if _ended(record) else None


def plain_pace(record: JobRecord, now: float) -> Pace:
    """What the record shows by itself. `now` is wall-clock time."""
    if record.round > 1:
        return Pace()
    started, seconds = record.first_started_at, mean_seconds(record)
    if started is None or seconds is not None or not record.counts.running:
        return Pace(seconds)
    return Pace(None, max(0.0, now - started))


def _followed(before: _Course | None, record: JobRecord, now: float) -> _Course:
    running = record.counts.running
    begun = _ended(record) + running
    if before is None or before.first.round != record.round:
        return _Course(record, now, begun)
    if not running or _ended(record) >= before.begun:
        return replace(before, marked_at=now, begun=begun)
    return before


def _pace(course: _Course, record: JobRecord, now: float) -> Pace:
    at_least = now - course.marked_at if record.counts.running else 0.0
    if record.round == 1:
        return Pace(mean_seconds(record), at_least)
    ended = _ended(record) - _ended(course.first)
    seconds = (record.task_seconds - course.first.task_seconds) / ended if ended > 0 else None
    return Pace(seconds, at_least)


def _ended(record: JobRecord) -> int:
    return record.counts.succeeded + record.counts.failed
