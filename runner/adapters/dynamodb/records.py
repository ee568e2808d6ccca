"""The controller's side of the ledger: all of it, and the writes that are not about one attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial

from runner.adapters.dynamodb import browsing, catalogue, enqueueing, leadership, standing, stored
from runner.adapters.dynamodb.bodies import Bodies
from runner.adapters.dynamodb.catalogue import Filter
from runner.adapters.dynamodb.context import Lifetime
from runner.adapters.dynamodb.leadership import Leadership
from runner.adapters.dynamodb.registration import register
from runner.adapters.dynamodb.seen import Seen, Stored, see
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import Table
from runner.adapters.dynamodb.tidying import Tidying
from runner.adapters.dynamodb.vigil import PATIENCE
from runner.adapters.unreadable import leave_out
from runner.errors import Conflict, StorageError, Unavailable
from runner.model import Job, Status, TaskId
from runner.ports import Clock
from runner.records import AttemptRecord, Ending, HostReport, JobRecord, TaskRecord, Window

TOGETHER = 25
TRIES = 5


class DynamoRecords:
    """`name` must never have been another process's. `history`: for how many seconds records are kept; None: for ever.
    `patience`: a job in which nothing was counted for so many seconds is looked at more closely."""

    def __init__(
        self,
        table: Table,
        now: Clock,
        name: str,
        *,
        history: float | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._table = table
        self._now = now
        self._name = name
        self._calls = 0
        self._lifetime = Lifetime(now, history)
        self._bodies = Bodies(table)
        self._leadership = Leadership(table, now)
        self._tidying = Tidying(table, self._lifetime, self._mark, patience)

    async def register(self, job: Job) -> tuple[JobRecord, bool]:
        found, body, created = await register(self._table, self._bodies, job, self._mark())
        return (await self._see(Stored(body, found))).record, created

    async def job(self, job_id: str) -> JobRecord | None:
        found = await self._stored(job_id)
        return (await self._see(found)).record if found else None

    async def jobs(
        self,
        *,
        name: str | None = None,
        id_prefix: str | None = None,
        unfinished: bool = False,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        records: list[JobRecord] = []
        together = TOGETHER if limit is None else min(TOGETHER, limit)
        async for seen in self._listed(Filter(name, id_prefix, unfinished), together):
            if not (unfinished and seen.record.status.terminal):
                records.append(seen.record)
            if limit is not None and len(records) >= limit:
                break
        return records

    async def tidy(self) -> Sequence[JobRecord]:
        records: list[JobRecord] = []
        async for seen in self._listed(Filter(unfinished=True), TOGETHER):
            try:
                await self._tidying.see_to(seen)
            except StorageError as error:  # of that one job
                leave_out("job", seen.job.id, str(error))
            if not seen.record.status.terminal:
                records.append(seen.record)
        return records

    async def release(self, job_id: str, at: float) -> None:
        await stored.change(self._table, job_id, self._mark(), lambda found: standing.released(found, at))

    async def end(self, job_id: str, ending: Ending) -> bool:
        found = await self._stored(job_id)
        if found is None or (await self._see(found)).record.status.terminal:
            return False
        changed = await stored.change(
            self._table, job_id, self._mark(), lambda found: standing.ended(found, ending)
        )
        return changed is not None

    async def reopen(self, job_id: str, at: float) -> int:
        for _ in range(TRIES):
            found = await self._stored(job_id)
            if found is None:
                return 0
            seen = await self._see(found)
            counts = seen.record.counts
            # What still runs of a job that ended is about to be cancelled.
            count = counts.failed + counts.cancelled + (counts.running if found.standing.ending else 0)
            count = count or await self._uncounted(found)
            if count == 0 or await self._reopen(seen, None if found.job.after else at):
                return count
        message = f"job {job_id} is being changed by too many at once; try again"
        raise Unavailable(message)

    async def _uncounted(self, found: Stored) -> int:
        """How many tasks ended without success by their records: the sums are a moment behind these."""
        array, ended = found.job.array, {Status.FAILED, Status.CANCELLED}
        return len(await browsing.listing(self._table, array, found.standing, ended, -1, array.size))

    async def _reopen(self, seen: Seen, released_at: float | None) -> bool:
        """False if the job has changed since it was seen."""
        if self._lifetime.outlived(seen.job.created_at):
            message = (
                f"job {seen.job.id} is as old as its history is kept, and cannot be run again; submit it anew"
            )
            raise Conflict(message)

        def decide(found: Standing) -> Standing | None:
            same = (found.round, found.ending) == (seen.standing.round, seen.standing.ending)
            return standing.reopened(found, seen.total, released_at) if same else None

        await catalogue.enter(self._table, seen.standing, seen.job, seen.standing.round + 1)
        changed = await stored.change(self._table, seen.job.id, self._mark(), decide)
        if changed is not None and self._lifetime.history is not None:
            await catalogue.keep(self._table, changed, seen.job, None)
        return changed is not None

    async def unsent(self, job_id: str, most: int) -> Window:
        found = await self._stored(job_id)
        if found is None:
            return Window((), 0)
        total = (await self._see(found)).total
        plan = await enqueueing.unsent(self._table, found.job.array, found.standing, total, most)
        if plan.news:
            await stored.change(self._table, job_id, self._mark(), partial(enqueueing.learnt, plan))
        return plan.window

    async def sent(self, job_id: str, window: Window) -> None:
        found = await self._stored(job_id)
        if found is None:
            return
        array, total = found.job.array, (await self._see(found)).total
        lifted = await enqueueing.lifted_sent(self._table, found.standing, total, window)
        decide = partial(standing.window_sent, array=array, window=window, lifted=lifted, most=total.lifted)
        await stored.change(self._table, job_id, self._mark(), decide)

    async def outstanding(self, job_id: str, limit: int, after: int = -1) -> Sequence[int]:
        found = await self._stored(job_id)
        if found is None:
            return ()
        seen = await self._see(found)
        if seen.record.status.terminal:
            return ()
        indices = await enqueueing.outstanding(self._table, found.job.array, found.standing, limit, after)
        if not indices and after < 0 and seen.record.queued:
            await self._tidying.make_whole(found.standing)
        return indices

    async def task(self, task: TaskId) -> TaskRecord | None:
        found = await self._stored(task.job_id)
        if found is None:
            return None
        return await browsing.task(self._table, found.job.array, found.standing, task.index)

    async def tasks(
        self, job_id: str, *, statuses: Collection[Status] | None = None, after: int = -1, limit: int = 1000
    ) -> Sequence[TaskRecord]:
        found = await self._stored(job_id)
        if found is None:
            return ()
        array = found.job.array
        return await browsing.listing(self._table, array, found.standing, statuses, after, limit)

    async def attempts(self, task: TaskId) -> Sequence[AttemptRecord]:
        found = await stored.read(self._table, task.job_id)
        return await browsing.attempts(self._table, task, found) if found else ()

    async def lead(self, holder: str, seconds: float) -> bool:
        return await self._leadership.lead(holder, seconds)

    async def resign(self, holder: str) -> None:
        await self._leadership.resign(holder)

    async def publish(self, holder: str, demand: int, note: str = "") -> None:
        await self._leadership.publish(holder, demand, note)

    async def hosts(self) -> Sequence[HostReport]:
        return await leadership.hosts(self._table)

    def _mark(self) -> str:
        self._calls += 1
        return f"{self._name}.{self._calls}"

    async def _stored(self, job_id: str) -> Stored | None:
        job, found = await asyncio.gather(self._bodies.read(job_id), stored.read(self._table, job_id))
        return Stored(job, found) if job is not None and found is not None else None

    async def _see(self, found: Stored) -> Seen:
        return await see(self._table, found)

    async def _listed(self, wanted: Filter, together: int) -> AsyncIterator[Seen]:
        """Read `together` at a time. Without those that cannot be read."""
        job_ids: list[str] = []
        async for job_id in catalogue.ids(self._table, wanted):
            job_ids.append(job_id)
            if len(job_ids) >= together:
                for seen in await self._see_all(job_ids):
                    yield seen
                job_ids = []
        for seen in await self._see_all(job_ids):
            yield seen

    async def _see_all(self, job_ids: Sequence[str]) -> Sequence[Seen]:
        standings, jobs = await asyncio.gather(
            stored.read_all(self._table, job_ids), self._bodies.read_all(job_ids)
        )
        known = [Stored(jobs[id_], standings[id_]) for id_ in job_ids if id_ in jobs and id_ in standings]
        return await asyncio.gather(*map(self._see, known))
