"""Finds what was handed over, by whoever supervised before, and what nobody serves."""

from __future__ import annotations

from collections.abc import Sequence

from controller.adapters.batch.details import FORGOTTEN, BatchJob, batch_job
from controller.adapters.batch.handed import Due, Handed, JobState
from controller.adapters.batch.recording import Recorder, lot_of
from controller.adapters.batch.service import BatchService
from controller.adapters.batch.submissions import Submission, name_prefix, submission_in
from controller.ports import Records
from runner.aws import Reply
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Status
from runner.ports import Clock
from runner.records import JobRecord, TaskRecord

PAGE = 1000

# A name is not listed at once, nor an id described. So long, in seconds, what was handed over may be unknown there.
SETTLED = 60.0


class Finder:
    def __init__(
        self,
        service: BatchService,
        records: Records,
        recorder: Recorder,
        settings: BatchSettings,
        now: Clock,
    ) -> None:
        self._service = service
        self._records = records
        self._recorder = recorder
        self._settings = settings
        self._now = now

    async def find(self, record: JobRecord, queue: BatchQueue) -> list[Handed]:
        """What AWS Batch has of the job. Raises AwsError."""
        prefix = name_prefix(self._settings.name, record.job.id)
        details = await self._service.describe(await self._service.named(queue.job_queue, prefix))
        found = [_handed(detail) for detail in details.values()]
        return [each for each in found if each is not None and each.submission.job_id == record.job.id]

    async def scan(self, record: JobRecord, state: JobState) -> None:
        """Have every task handed over again that the ledger counts as sent and nothing serves. Not at once: it may have
        been sent a moment ago. Raises AwsError, StorageError."""
        last = -1
        while indices := await self._records.outstanding(record.job.id, PAGE, last):
            unserved = [index for index in state.unserved(indices) if index not in state.due]
            if unserved:
                await self._take_up(record, state, unserved)
            last = indices[-1]
        state.scanned = True

    async def _take_up(self, record: JobRecord, state: JobState, unserved: Sequence[int]) -> None:
        begun = await tasks_among(self._records, record, unserved)
        for index in unserved:
            task = begun.get(index)
            if task is not None and task.status is Status.RUNNING:
                await self._owned(record, state, task)
            elif record.ending is None and (task is None or task.status is Status.RUNNABLE):
                at = self._now() + SETTLED
                due = at if task is None or task.not_before is None else max(at, task.not_before)
                state.due[index] = Due(lot_of(task, record.job), due, doubtful=True)

    async def _owned(self, record: JobRecord, state: JobState, task: TaskRecord) -> None:
        """Its owner names the Batch job. What AWS Batch does not know any more ended more than a week ago."""
        batch_id = (task.owner or "").partition("#")[0].partition(":")[0]
        if batch_id.count("-") < 4:
            return  # no Batch job's: it was begun elsewhere
        detail = (await self._service.describe([batch_id])).get(batch_id)
        handed = _handed(detail) if detail else None
        if handed is not None:
            state.adopt([handed])
            return
        await self._recorder.lose(record, task, FORGOTTEN)
        await self._recorder.follow(record, state, task.task, lot_of(task, record.job))

    def forgotten(self, state: JobState, handed: Handed) -> None:
        """AWS Batch has never heard of it, or not for a week: whatever it served is served anew, unless it is too early
        to say that."""
        if self._now() - handed.created_at >= SETTLED:
            state.handed.remove(handed)
            state.scanned = False

    async def strays(self, queue: BatchQueue) -> list[tuple[BatchJob, Submission]]:
        """What goes on in the queue and is this installation's. Raises AwsError."""
        ids = await self._service.live(queue.job_queue, f"{self._settings.name}-")
        details = await self._service.describe(ids)
        found = [(batch_job(detail), submission_in(detail)) for detail in details.values()]
        return [(job, submission) for job, submission in found if submission is not None]


async def tasks_among(records: Records, record: JobRecord, indices: Sequence[int]) -> dict[int, TaskRecord]:
    """Those of the tasks that were begun before. `indices` ascend."""
    wanted = set(indices)
    found: dict[int, TaskRecord] = {}
    after, last = indices[0] - 1, indices[-1]
    while after < last:
        page = await records.tasks(record.job.id, after=after, limit=PAGE)
        found |= {each.task.index: each for each in page if each.task.index in wanted}
        if len(page) < PAGE:
            break
        after = page[-1].task.index
    return found


def _handed(detail: Reply) -> Handed | None:
    submission = submission_in(detail)
    if submission is None:
        return None
    job = batch_job(detail)
    return Handed(job.id, submission, job.created_at)
