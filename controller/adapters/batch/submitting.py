"""Hands tasks over to AWS Batch: takes them from the ledger, puts them into submissions, and those into requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from controller.adapters.batch.definitions import Definitions, definition_of
from controller.adapters.batch.finding import SETTLED, tasks_among
from controller.adapters.batch.handed import Due, Handed, JobState
from controller.adapters.batch.planning import PAYLOAD, payload, portions
from controller.adapters.batch.recording import Recorder, lot_of
from controller.adapters.batch.requests import request
from controller.adapters.batch.service import BatchService
from controller.adapters.batch.submissions import LARGEST_ARRAY, Lot, Submission
from controller.adapters.managed.service import may_have_happened
from controller.demand import demand_of
from controller.ports import Records
from runner.aws import AwsError
from runner.batch_settings import BatchQueue, BatchSettings
from runner.errors import BadInput
from runner.model import TaskId
from runner.ports import Clock, Manifests
from runner.records import JobRecord
from runner.wording import choices, shown

log = structlog.get_logger()

# Tasks taken from the ledger in one go, so that a job of a million does not hold up the others.
MOST_CLAIMED = 10 * LARGEST_ARRAY
# Of an array's items so many are read at a time: as many as may be submitted together at most.
ITEMS = 1000
LONGEST_ARN = "a" * 256


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

    async def serve(
        self, record: JobRecord, state: JobState, most: int, lead: Callable[[], Awaitable[None]]
    ) -> int:
        """Hand over what is due, in at most so many submissions; `lead` in between. Returns in how many. Raises
        AwsError, and what `lead` raises."""
        lots: defaultdict[Lot, list[int]] = defaultdict(list)
        for index, due in sorted(state.due.items()):
            if due.at <= self._now() and not due.doubtful:
                lots[due.lot].append(index)
        made = 0
        for lot, indices in lots.items():
            await lead()
            for part in _slices(indices, ITEMS if record.job.array.manifest else len(indices)):
                made += await self._submit(record, state, lot, part, most - made)
                if made >= most:
                    return made
        return made

    async def _submit(
        self, record: JobRecord, state: JobState, lot: Lot, indices: Sequence[int], most: int
    ) -> int:
        items = await self._items(record, indices)
        empty = Submission(record.job.id, record.round, lot, (indices[0],))
        room = PAYLOAD - payload(self._request(record, empty, LONGEST_ARN, None))
        made = 0
        for portion in portions(indices, room, items):
            if made >= most:
                break
            submission = Submission(record.job.id, record.round, lot, portion)
            await self._hand_over(record, state, submission, items)
            made += 1
        return made

    async def _hand_over(
        self, record: JobRecord, state: JobState, submission: Submission, items: Mapping[int, str] | None
    ) -> None:
        given = self._request(record, submission, await self._definition(record, submission), items)
        if submission.size == 1 and payload(given) > PAYLOAD:
            (index,) = submission.indices
            reason = f"its item and variables are larger than the {PAYLOAD:,} bytes that AWS Batch takes"
            await self._recorder.refuse(record, TaskId(record.job.id, index), reason)
            del state.due[index]
            return
        try:
            batch_id = await self._service.submit(given)
        except AwsError as error:
            if may_have_happened(error):
                for index in submission.indices:
                    state.due[index] = Due(submission.lot, self._now() + SETTLED, doubtful=True)
            raise
        log.info("handed over to AWS Batch", job=record.job.id, batch_job=batch_id, tasks=submission.size)
        state.adopt([Handed(batch_id, submission, self._now())])
        for index in submission.indices:
            del state.due[index]

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


def _slices(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
