"""`runner.ports.Ledger`: what agents do."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from runner.adapters.sqlite import beats, beginning, finishing, jobs, leadership
from runner.adapters.sqlite.claims import Claim
from runner.adapters.sqlite.database import Database
from runner.model import Attempt, Job, Lease, Outcome
from runner.ports import Clock, Supervision
from runner.records import HostReport, Refusal, Verdict


class SqliteLedger:
    """`lease`: seconds after which an owner without a beat may be taken for dead.

    `steady` measures them: seconds of a clock that never jumps and that all processes of the machine share;
    the event loop's own if None.
    """

    def __init__(self, database: Database, now: Clock, lease: float, steady: Clock | None = None) -> None:
        self._database = database
        self._now = now
        self._lease = lease
        self._steady = steady

    async def job(self, job_id: str) -> Job | None:
        return await self._database.read(partial(jobs.job, job_id=job_id))

    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        steady = self._steady or asyncio.get_running_loop().time
        claim = Claim(lease, job, owner, self._now(), steady(), self._lease)
        return await self._database.write(partial(beginning.begin, claim=claim))

    async def touch(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        return await self._database.write(partial(beats.touch, attempts=attempts))

    async def cancelled(self, job_ids: Collection[str]) -> Collection[str]:
        return self._database.peek(partial(beats.ended, job_ids=job_ids))

    async def annotate(self, attempt: Attempt, metadata: Mapping[str, str]) -> None:
        await self._database.write(partial(beats.annotate, attempt=attempt, metadata=metadata))

    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        work = partial(finishing.finish, attempt=attempt, outcome=outcome, verdict=verdict, now=self._now())
        return await self._database.write(work)

    async def report(self, report: HostReport) -> None:
        await self._database.write(partial(leadership.report, report=report))

    async def supervision(self) -> Supervision:
        return self._database.peek(partial(leadership.supervision, now=self._now()))
