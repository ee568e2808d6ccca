"""The standings of the jobs that a process works on, read once for all who want to know at the same time."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from runner.adapters.dynamodb import stored
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import Table

REMEMBERED = 1000


class _Seen(NamedTuple):
    standing: Standing
    at: float


class Standings:
    """`fresh`: for how long, in seconds, a standing may serve those whom an old one cannot mislead."""

    def __init__(self, table: Table, fresh: float) -> None:
        self._table = table
        self._fresh = fresh
        self._seen: dict[str, _Seen] = {}
        self._next: dict[str, asyncio.Task[Standing | None]] = {}
        self._running: dict[str, asyncio.Task[Standing | None]] = {}

    async def now(self, job_id: str) -> Standing | None:
        """As it is, read after this was called."""
        if job_id not in self._next:
            self._next[job_id] = asyncio.create_task(self._read(job_id))
        return await asyncio.shield(self._next[job_id])

    async def lately(self, job_id: str) -> Standing | None:
        """As it is, or was a moment ago: good enough to let a task begin, which a moment ago it might have, but not to
        refuse one, whose message would be deleted."""
        seen = self._seen.get(job_id)
        if seen is not None and asyncio.get_running_loop().time() - seen.at < self._fresh:
            return seen.standing
        return await self.now(job_id)

    async def once(self, job_id: str) -> Standing | None:
        """As it was at some time: for what never changes of it."""
        seen = self._seen.get(job_id)
        return seen.standing if seen else await self.now(job_id)

    async def _read(self, job_id: str) -> Standing | None:
        if job_id in self._running:
            await asyncio.wait([self._running[job_id]])
        else:
            await asyncio.sleep(0)
        self._running[job_id] = this = self._next.pop(job_id)
        try:
            asked = asyncio.get_running_loop().time()
            standing = await stored.read(self._table, job_id)
            if standing is not None:
                self._remember(_Seen(standing, asked))
            return standing
        finally:
            if self._running.get(job_id) is this:
                del self._running[job_id]

    def _remember(self, seen: _Seen) -> None:
        self._seen.pop(seen.standing.job_id, None)
        self._seen[seen.standing.job_id] = seen
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
