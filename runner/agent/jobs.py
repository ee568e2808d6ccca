"""Jobs by id, as this agent has read them. A job never changes, so one read serves all its tasks, also those that come
while it is under way."""

from __future__ import annotations

import asyncio

from runner.model import Job
from runner.ports import Ledger

MOST = 256


class Jobs:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, Job] = {}
        self._reading: dict[str, asyncio.Task[Job | None]] = {}

    async def get(self, job_id: str) -> Job | None:
        known = self._known.get(job_id)
        if known is not None:
            return known
        reading = self._reading.get(job_id)
        if reading is None:
            reading = self._reading[job_id] = asyncio.create_task(self._read(job_id))
            reading.add_done_callback(lambda read: self._ended(job_id, read))
        return await asyncio.shield(reading)  # whoever gives up waiting leaves it to the others

    def _ended(self, job_id: str, reading: asyncio.Task[Job | None]) -> None:
        del self._reading[job_id]
        if not reading.cancelled():
            reading.exception()  # seen, should nobody wait any more

    async def _read(self, job_id: str) -> Job | None:
        job = await self._ledger.job(job_id)
        if job is not None:
            if len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[job_id] = job
        return job
