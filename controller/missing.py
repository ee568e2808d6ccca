"""Messages that are gone though their tasks have not ended: expired, purged, deleted by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from runner.records import Backlog, JobRecord
from runner.routing import Routes


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


def has_lost(
    record: JobRecord, channel: str, empty: Collection[str], backlog: Mapping[str, Backlog], routes: Routes
) -> bool:
    """Whether messages of the job, whose own channel is `channel`, must be gone: it is long empty, and the queue's
    other channels together hold fewer than the job ought to have."""
    if not record.queued or channel not in empty:
        return False
    others = (each for each in routes.channels_of_queue(record.job.queue) if each != channel)
    return record.queued > sum(backlog[each].total for each in others if each in backlog)
