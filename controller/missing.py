"""Messages that are gone though their tasks have not ended: expired, purged, deleted by hand."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from runner.records import Backlog, JobRecord
from runner.routing import Routes

# A job of which nothing is counted for so long is sent again, in seconds; then after twice as long, and so on. So many
# times as long where the counts do not say that anything is missing: duplicates elsewhere may hide it.
SILENCE = 1800.0
UNPROVEN = 8


class EmptyChannels:
    """Remembers since when channels have been seen empty. `patience`: for how long, in seconds, one must have been so
    before what ought to be on it counts as gone; longer than any lease, and than the queue's counts are late."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: dict[str, float] = {}

    def observe(self, backlog: Mapping[str, Backlog], now: float) -> Collection[str]:
        """Those that have been empty for long; each is named once, and then watched anew. `now` is steady."""
        found = set()
        for name, depth in backlog.items():
            if depth.total:
                self._since.pop(name, None)
            elif now - self._since.setdefault(name, now) > self._patience:
                found.add(name)
                del self._since[name]
        return found


@dataclass(frozen=True, slots=True)
class _Quiet:
    """Since when a job has stood where it stands, and how often it was sent again meanwhile."""

    stands: tuple[int, ...]
    since: float
    times: int = 0


class SilentJobs:
    """Remembers since when nothing was counted of a job. A channel on which others go on sending never is empty, and
    what one job lost on it shows in nothing else."""

    def __init__(self) -> None:
        self._quiet: dict[str, _Quiet] = {}

    def observe(self, jobs: Sequence[JobRecord], lacking: Collection[str], now: float) -> Collection[str]:
        """Ids of those that have been silent for long though some of their tasks wait; each is then watched anew, for
        twice as long. `lacking`: ids of jobs on whose channel there have been fewer messages than were sent. `now` is
        steady."""
        waiting = [record for record in jobs if record.queued > record.counts.running]
        before, self._quiet = self._quiet, {}
        found = set()
        for record in waiting:
            quiet = before.get(record.job.id)
            if quiet is None or quiet.stands != _stands(record):
                quiet = _Quiet(_stands(record), now)
            elif now - quiet.since > _patience(record, record.job.id in lacking) * 2**quiet.times:
                found.add(record.job.id)
                quiet = _Quiet(quiet.stands, now, quiet.times + 1)
            self._quiet[record.job.id] = quiet
        return found


def _patience(record: JobRecord, lacking: bool) -> float:
    """What runs for hours is no silence, nor is what waits behind it; where messages lack, it is not that."""
    if lacking:
        return SILENCE
    return math.inf if record.counts.running else UNPROVEN * SILENCE


def has_lost(
    record: JobRecord,
    channel: str,
    empty: Collection[str],
    backlog: Mapping[str, Backlog],
    sent: Mapping[str, int],
    routes: Routes,
) -> bool:
    """Whether messages of the job, whose own channel is `channel`, must be gone: it is long empty, and the queue's
    other channels together hold fewer than the job ought to have beyond those of their own, of which `sent` were."""
    if not record.queued or channel not in empty:
        return False
    others = (each for each in routes.channels_of_queue(record.job.queue) if each != channel)
    return record.queued > sum(
        max(0, backlog[each].total - sent.get(each, 0)) for each in others if each in backlog
    )


def _stands(record: JobRecord) -> tuple[int, ...]:
    counts = record.counts
    return (record.round, record.sent, counts.running, counts.succeeded, counts.failed, counts.cancelled)
