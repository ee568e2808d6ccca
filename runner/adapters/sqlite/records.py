"""The controller's side of the ledger: all of it, and the writes that are not about one attempt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from runner.adapters.sqlite import cursor, jobs, leadership, listing, rounds
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.group import Haste
from runner.model import Job, Status, TaskId
from runner.ports import Clock
from runner.records import AttemptRecord, Ending, HostReport, JobRecord, TaskRecord, Window

LONG_WINDOW = 500


class SqliteRecords:
    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def register(self, job: Job) -> tuple[JobRecord, bool]:
        return await self._database.write(partial(jobs.register, job=job))

    async def job(self, job_id: str) -> JobRecord | None:
        return await self._database.read(partial(jobs.record, job_id=job_id))

    async def jobs(
        self,
        *,
        name: str | None = None,
        id_prefix: str | None = None,
        unfinished: bool = False,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        wanted = jobs.Filter(name, id_prefix, unfinished, -1 if limit is None else limit)
        return await self._database.read(partial(jobs.listing, wanted=wanted))

    async def tidy(self) -> Sequence[JobRecord]:
        """Nothing to see to: whatever ends a job also closes it, and all is kept for ever."""
        return await self.jobs(unfinished=True)

    async def release(self, job_id: str, at: float) -> None:
        await self._database.write(partial(rounds.release, job_id=job_id, at=at))

    async def end(self, job_id: str, ending: Ending) -> bool:
        return await self._database.write(partial(rounds.end, job_id=job_id, ending=ending), haste=Haste.LONG)

    async def reopen(self, job_id: str, at: float) -> int:
        return await self._database.write(partial(rounds.reopen, job_id=job_id, at=at), haste=Haste.LONG)

    async def unsent(self, job_id: str, most: int) -> Window:
        plan = await self._database.read(partial(cursor.unsent, job_id=job_id, most=most))
        if plan.gap_filled:
            work = partial(cursor.close_gap, job_id=job_id, round_=plan.window.round)
            await self._database.write(work)
        return plan.window

    async def sent(self, job_id: str, window: Window) -> None:
        work = partial(cursor.sent, job_id=job_id, window=window)
        haste = Haste.LONG if len(window.indices) > LONG_WINDOW else Haste.SOON
        await self._database.write(work, haste=haste)

    async def outstanding(self, job_id: str, limit: int, after: int = -1) -> Sequence[int]:
        return await self._database.read(partial(cursor.outstanding, job_id=job_id, limit=limit, after=after))

    async def task(self, task: TaskId) -> TaskRecord | None:
        return await self._database.read(partial(listing.task, task=task))

    async def tasks(
        self, job_id: str, *, statuses: Collection[Status] | None = None, after: int = -1, limit: int = 1000
    ) -> Sequence[TaskRecord]:
        page = listing.Page(statuses, after, limit)
        return await self._database.read(partial(listing.tasks, job_id=job_id, page=page))

    async def attempts(self, task: TaskId) -> Sequence[AttemptRecord]:
        return await self._database.read(partial(listing.attempts, task=task))

    async def lead(self, holder: str, seconds: float) -> bool:
        now = self._now()
        return await self._database.write(
            partial(leadership.lead, holder=holder, now=now, until=now + seconds)
        )

    async def resign(self, holder: str) -> None:
        await self._database.write(partial(leadership.resign, holder=holder))

    async def publish(self, holder: str, demand: int, note: str = "") -> None:
        work = partial(leadership.publish, holder=holder, demand=demand, note=note, now=self._now())
        await self._database.write(work)

    async def hosts(self) -> Sequence[HostReport]:
        return await self._database.read(leadership.hosts)
