"""Watches for jobs that stand still, as one does whose last counts died with the process that had made them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

# Seconds in which nothing was counted, before the records themselves are looked at; ever longer if that was in vain.
PATIENCE = 60.0
LONGEST = 3600.0


@dataclass(slots=True)
class _Watch:
    events: int
    since: float
    due: float


class Vigil:
    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._watched: dict[str, _Watch] = {}

    def quiet(self, job_id: str, events: int) -> float:
        """For how many seconds this process has seen no change."""
        now = asyncio.get_running_loop().time()
        watch = self._watched.get(job_id)
        if watch is None or watch.events != events:
            watch = self._watched[job_id] = _Watch(events, now, now + self._patience)
        return now - watch.since

    def due(self, job_id: str, events: int) -> bool:
        quiet = self.quiet(job_id, events)
        watch = self._watched[job_id]
        if watch.since + quiet < watch.due:
            return False
        watch.due += min(LONGEST, 2 * quiet)
        return True

    def forget(self, job_id: str) -> None:
        self._watched.pop(job_id, None)
