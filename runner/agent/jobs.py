"""Jobs by id, as this agent has read them. A job never changes, so one read serves all its tasks."""

from __future__ import annotations

from runner.model import Job
from runner.ports import Ledger

MOST = 256


class Jobs:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, Job] = {}

    async def get(self, job_id: str) -> Job | None:
        known = self._known.get(job_id)
        if known is not None:
            return known
        job = await self._ledger.job(job_id)
        if job is not None:
            if len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[job_id] = job
        return job
