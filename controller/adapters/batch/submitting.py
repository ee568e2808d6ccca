"""Hands tasks over to AWS Batch: takes them from the ledger, puts them into submissions, and those into requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import structlog

from controller.adapters.batch.definitions import Definitions, definition_of
from controller.adapters.batch.finding import SETTLED, tasks_among
from controller.adapters.batch.handed import Due, Handed, JobState
from controller.adapters.batch.planning import OVERRIDES, payload, portions
from controller.adapters.batch.recording import Recorder, lot_of
from controller.adapters.batch.requests import overrides, request
from controller.adapters.batch.service import BatchService
from controller.adapters.batch.submissions import LARGEST_ARRAY, Lot, Submission
from controller.adapters.managed.service import may_have_happened
from controller.demand import demand_of
from controller.ports import Lead, Records
from runner.aws import AwsError, Trouble
from runner.batch_settings import BatchQueue, BatchSettings
from runner.errors import BadInput
from runner.model import Job, Status, TaskId
from runner.ports import Clock, Manifests
from runner.records import Ending, JobRecord
from runner.wording import choices, shown

log = structlog.get_logger()

# Tasks taken from the ledger in one go, so that a job of a million does not hold up the others.
MOST_CLAIMED = 10 * LARGEST_ARRAY
# Of an array's items so many are read at a time: as many as may be submitted together at most.
ITEMS = 1000
# Tasks that are failed in one go, each with some writes.
MOST_REFUSED = 100


class Submitter:
    def __init__(
        self,
        service: BatchService,
        definitions: Definitions,
        records: Records,
        manifests: Manifests,
        recorder: Recorder,
        settings: BatchSettings,
        now: Clock,
    ) -> None:
        self._service = service
        self._definitions = definitions
        self._records = records
        self._manifests = manifests
        self._recorder = recorder
        self._settings = settings
        self._now = now
        self._closed_until: dict[str, float] = {}

    def queue(self, record: JobRecord) -> BatchQueue:
        """Raises BadInput."""
        name, queues = record.job.queue, self._settings.queues
        if name not in queues:
            message = f"unknown queue {shown(name)}; {choices(name, queues)}"
            raise BadInput(message)
        return queues[name]

    async def claim(self, record: JobRecord, state: JobState) -> int:
        """Take from the ledger what may be handed over. It is noted as sent first: whoever is killed in between leaves
        tasks that nobody serves, which are found, and not tasks that run twice. Returns how many."""
        if demand_of(record) <= record.queued:
            return 0  # all were; asking costs reads, in every step and for every job
        claimed = 0
        while claimed < MOST_CLAIMED:
            most = record.job.max_parallel or record.queued + claimed + LARGEST_ARRAY
            window = await self._records.unsent(record.job.id, most)
            if not window.indices or window.round != record.round:
                break
            indices = sorted(window.indices)
            begun = await tasks_among(self._records, record, indices) if window.round > 1 else {}
            state.scanned, scanned = False, state.scanned
            await self._records.sent(record.job.id, window)
            state.scanned = scanned
            for index in indices:
                state.due[index] = Due(lot_of(begun.get(index), record.job), self._now())
            claimed += len(indices)
        return claimed

    async def serve(self, record: JobRecord, state: JobState, most: int, lead: Lead) -> int:
        """Hand over what is due, in at most so many submissions; `lead` in between. Returns in how many. Raises
        AwsError, and what `lead` raises."""
        made = 0
        for lot, indices in self._lots(record, state).items():
            for part in _slices(indices, ITEMS if record.job.array.manifest else len(indices)):
                items = await self._items(record, part)
                for submission in _submissions(record, lot, part, items):
                    if made >= most:
                        return made
                    await lead()
                    if not await self._offer(record, state, submission, items):
                        return made
                    made += 1
        return made

    def _lots(self, record: JobRecord, state: JobState) -> Mapping[Lot, Sequence[int]]:
        """What may be handed over now."""
        lots: defaultdict[Lot, list[int]] = defaultdict(list)
        if not self._held_back(record, state):
            for index, due in sorted(state.due.items()):
                if due.at <= self._now() and not due.doubtful:
                    lots[due.lot].append(index)
        return lots

    def _held_back(self, record: JobRecord, state: JobState) -> bool:
        """A closed job queue is tried by one job for all. And a refusal may pass: a role, or a right, that was made a
        moment ago is not known everywhere at once."""
        now, since = asyncio.get_running_loop().time(), state.refused_since
        closed = now < self._closed_until.get(self.queue(record).job_queue, now)
        return closed or (since is not None and now - since < SETTLED)

    async def _offer(
        self, record: JobRecord, state: JobState, submission: Submission, items: Mapping[int, str] | None
    ) -> bool:
        """False: it was refused, which is no error of this step's. Raises AwsError."""
        try:
            await self._hand_over(record, state, submission, items)
        except AwsError as error:
            if not await self._settled(record, state, submission, error):
                raise
            return False
        return True

    async def _hand_over(
        self, record: JobRecord, state: JobState, submission: Submission, items: Mapping[int, str] | None
    ) -> None:
        if submission.size == 1 and payload(overrides(record.job, submission, items)) > OVERRIDES:
            (index,) = submission.indices
            reason = (
                f"item, variables and command are more than the {OVERRIDES:,} bytes that Amazon ECS takes"
            )
            await self._recorder.refuse(record, TaskId(record.job.id, index), reason)
            del state.due[index]
            return
        given = self._request(record, submission, await self._definition(record, submission), items)
        try:
            batch_id = await self._service.submit(given)
        except AwsError as error:
            if may_have_happened(error):
                for index in submission.indices:
                    state.due[index] = Due(submission.lot, self._now() + SETTLED, doubtful=True)
            raise
        state.refused_since = None
        log.info("handed over to AWS Batch", job=record.job.id, batch_job=batch_id, tasks=submission.size)
        state.adopt([Handed(batch_id, submission, self._now())])
        for index in submission.indices:
            del state.due[index]

    async def _settled(
        self, record: JobRecord, state: JobState, submission: Submission, error: AwsError
    ) -> bool:
        """Whether what was refused waits for its job queue, or has failed: what an open one still refuses after a while
        is at fault itself, and tried for ever would make every step a failure. Raises AwsError."""
        if not _refused(record.job, error):
            return False
        self._definitions.forget()  # somebody may have removed one
        queue, now = self.queue(record).job_queue, asyncio.get_running_loop().time()
        if not await self._service.takes_jobs(queue):
            log.warning("the job queue takes no jobs", queue=queue, job=record.job.id, error=str(error))
            self._closed_until[queue], state.refused_since = now + self._settings.interval, None
            return True
        if state.refused_since is None:
            state.refused_since = now
            return False
        log.error("AWS Batch does not take it", job=record.job.id, tasks=submission.size, error=str(error))
        await self._fail(record, state, submission, f"AWS Batch does not take it: {error}")
        return True

    async def _fail(self, record: JobRecord, state: JobState, submission: Submission, reason: str) -> None:
        """The job, or the tasks alone if others of it may run already; of many, the others are refused next."""
        if any(each.submission.round == record.round for each in state.handed):
            for index in submission.indices[:MOST_REFUSED]:
                await self._recorder.refuse(record, TaskId(record.job.id, index), reason)
                del state.due[index]
        else:
            await self._records.end(record.job.id, Ending(Status.FAILED, reason, self._now()))
            state.due.clear()

    async def _definition(self, record: JobRecord, submission: Submission) -> str:
        wrapped = not submission.native(record.job)
        given = definition_of(record.job, self.queue(record), self._settings, wrapped=wrapped)
        return await self._definitions.arn(given)

    def _request(
        self, record: JobRecord, submission: Submission, definition: str, items: Mapping[int, str] | None
    ) -> dict[str, object]:
        return request(record.job, submission, definition, self.queue(record), self._settings, items)

    async def _items(self, record: JobRecord, indices: Sequence[int]) -> Mapping[int, str] | None:
        manifest = record.job.array.manifest
        if manifest is None:
            return None
        return {index: await self._manifests.get(manifest, index) for index in indices}


def _refused(job: Job, error: AwsError) -> bool:
    """Also a role that must not be lent: that is a right which only jobs with this role need."""
    denied_role = error.trouble is Trouble.DENIED and job.role is not None and job.role in str(error)
    return error.trouble is Trouble.REFUSED or denied_role


def _submissions(
    record: JobRecord, lot: Lot, indices: Sequence[int], items: Mapping[int, str] | None
) -> Iterator[Submission]:
    smallest = Submission(record.job.id, record.round, lot, (indices[0],))
    room = OVERRIDES - payload(overrides(record.job, smallest))
    for portion in portions(indices, room, items):
        yield Submission(record.job.id, record.round, lot, portion)


def _slices(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
