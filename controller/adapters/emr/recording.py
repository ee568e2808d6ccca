"""Begins and ends attempts in the ledger, as an agent would.

An attempt begins before anything is asked of Amazon EMR: so nothing can run there that no record points to, and only
one of two who would start the same goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from controller.adapters.managed.attempts import lease_of
from controller.ports import Records
from runner import retry
from runner.model import Attempt, Job, Outcome, Status, TaskId
from runner.ports import Clock, Ledger
from runner.records import JobRecord


class Recorder:
    """`jitter` gives random numbers in [0, 1). `holder` names this process among those that would begin the same."""

    def __init__(
        self, records: Records, ledger: Ledger, now: Clock, jitter: Callable[[], float], holder: str
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._now = now
        self._jitter = jitter
        self._holder = holder

    async def claim(self, record: JobRecord) -> None:
        """Count the task as sent: it is here now."""
        window = await self._records.unsent(record.job.id, 1)
        if window.indices and window.round == record.round:
            await self._records.sent(record.job.id, window)

    async def latest(self, record: JobRecord) -> JobRecord:
        """As it is now: it may have been read before a cancel that others have carried out since."""
        return await self._records.job(record.job.id) or record

    async def begin(self, record: JobRecord) -> Attempt | None:
        """The task's next attempt; None if it may not begin now, or another has begun it."""
        task = await self._records.task(task_of(record))
        if task is not None and task.status is not Status.RUNNABLE:
            return None  # counts may be late; and to ask for what another holds may take it from them
        if task is not None and task.not_before is not None and task.not_before > self._now():
            return None
        owner = owner_of(self._holder, record.round)
        begun = await self._ledger.begin(lease_of(task_of(record), owner), record.job, owner)
        return begun if isinstance(begun, Attempt) else None

    async def annotate(self, attempt: Attempt, metadata: Mapping[str, str]) -> None:
        await self._ledger.annotate(attempt, metadata)

    async def finish(self, job: Job, attempt: Attempt, outcome: Outcome) -> None:
        known = outcome if outcome.finished_at is not None else replace(outcome, finished_at=self._now())
        await self._ledger.finish(attempt, known, retry.decide(job, attempt, known, self._jitter()))


def task_of(record: JobRecord) -> TaskId:
    """Its only one."""
    return TaskId(record.job.id, next(iter(record.job.array)))


def owner_of(holder: str, round_: int) -> str:
    """Who holds the task: also keeps of which round the attempt is, since names say it."""
    return f"emr-{holder}#{round_}"


def round_in(owner: str) -> int | None:
    """None for what was begun elsewhere."""
    holder, _, round_ = owner.partition("#")
    return int(round_) if holder.startswith("emr-") and round_.isdecimal() else None
