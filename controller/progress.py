"""How fast a job goes, and how long it will still take. Pure: the times are given."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from runner.records import JobRecord

WINDOW = 30.0
# A window of seconds holds too few of the slow tasks to say anything; then it reaches back to this many.
FEWEST = 20


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    finished: int


class Pace:
    """Tasks finished per second over the recent past: half a minute, or longer where the tasks are slow."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()
        self._now = 0.0

    def observe(self, at: float, finished: int) -> None:
        """`at` never falls. A falling count (tasks were opened again) starts anew."""
        self._now = at
        samples = self._samples
        if samples and finished < samples[-1].finished:
            samples.clear()
        if not samples or finished > samples[-1].finished:
            samples.append(Sample(at, finished))
        while len(samples) > 2 and self._dispensable(samples[1]):
            samples.popleft()

    @property
    def rate(self) -> float | None:
        """None until something finished while we looked."""
        if not self._samples:
            return None
        first, last = self._samples[0], self._samples[-1]
        if last.finished == first.finished or self._now <= first.at:
            return None
        return (last.finished - first.finished) / (self._now - first.at)

    def _dispensable(self, next_oldest: Sample) -> bool:
        enough = self._samples[-1].finished - next_oldest.finished >= FEWEST
        return enough and next_oldest.at <= self._now - WINDOW


def overall_rate(record: JobRecord, now: float) -> float | None:
    """Tasks finished per second since the first began; None where that says nothing."""
    if record.first_started_at is None or not record.counts.finished or now <= record.first_started_at:
        return None
    end = record.last_finished_at if record.status.terminal else now
    elapsed = (now if end is None else end) - record.first_started_at
    return record.counts.finished / elapsed if elapsed > 0 else None


def time_left(record: JobRecord, rate: float | None) -> float | None:
    """Seconds, at `rate` tasks a second."""
    remaining = record.job.array.size - record.counts.finished
    if record.status.terminal or remaining == 0:
        return 0.0
    return remaining / rate if rate else None
