"""AWS Batch as a backend: tasks are handed over to it, and what it says of them is copied into the ledger.

What it does follows from what it sees in AWS Batch and in the ledger; what it remembers only saves looking again. It
may be killed between any two calls. Two things keep the one truth in the ledger: a task's attempts have the numbers
that its submission foretold (`recording`), and tasks count as sent before they are submitted (`submitting`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from controller.adapters.batch.definitions import Definitions
from controller.adapters.batch.details import BatchJob, batch_job
from controller.adapters.batch.finding import PAGE, SETTLED, Finder
from controller.adapters.batch.handed import DONE, Handed, JobState
from controller.adapters.batch.instances import Instances
from controller.adapters.batch.looking import look
from controller.adapters.batch.output import Output
from controller.adapters.batch.recording import Recorder
from controller.adapters.batch.service import BatchService
from controller.adapters.batch.submitting import Submitter
from controller.adapters.batch.waiting import reasons_of
from controller.adapters.managed.restraint import Restraint, unless_throttled
from controller.faults import Faults
from controller.model import Reason
from controller.ports import Lead, Records
from runner.aws import Aws, Reply
from runner.batch_settings import BatchSettings
from runner.ports import Clock, Ledger, Manifests
from runner.records import JobRecord

log = structlog.get_logger()

# SubmitJob is allowed 50 times a second for a whole account.
MOST_SUBMISSIONS = 25
SWEEP = 300.0
# Seconds for a turn: others wait for theirs.
AT_LONGEST = 10.0
LONGEST_PAUSE = 120.0


@dataclass(frozen=True, slots=True)
class Turn:
    lead: Lead
    until: float

    @property
    def over(self) -> bool:
        return asyncio.get_running_loop().time() > self.until


class BatchBackend:
    """`trouble`: why AWS Batch was not looked at the last time; empty if it was. `jitter` gives random numbers in
    [0, 1). Create inside a running event loop."""

    def __init__(
        self,
        aws: Aws,
        records: Records,
        ledger: Ledger,
        manifests: Manifests,
        settings: BatchSettings,
        now: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._aws = aws
        self._records = records
        self._now = now
        self._settings = settings
        self.service = BatchService(aws, jitter)
        output = Output(aws, settings.log_group)
        self._recorder = Recorder(records, ledger, output, Instances(aws), now, jitter)
        self._finder = Finder(self.service, records, self._recorder, settings, now)
        self._submitter = Submitter(
            self.service,
            Definitions(self.service, settings.name),
            records,
            manifests,
            self._recorder,
            settings,
            now,
        )
        self._states: dict[str, JobState] = {}
        self._looked_at = self._swept_at = float("-inf")
        self._restraint = Restraint("AWS Batch", settings.interval, LONGEST_PAUSE, jitter)

    @property
    def trouble(self) -> str:
        return self._restraint.trouble

    async def start(self, record: JobRecord, lead: Lead) -> int:
        """Hand over what may be and is not yet. Returns how many tasks were taken up. Raises AwsError, StorageError."""
        self._forget_if_stale()
        startable = record.released_at is not None and record.ending is None and self._known_queue(record)
        if self._restraint.pausing or not startable:
            return 0
        return await self._restraint.gently(self._start(record, lead))

    async def _start(self, record: JobRecord, lead: Lead) -> int:
        state = await self._known(record)
        claimed = await self._submitter.claim(record, state)
        await self._submitter.serve(record, state, MOST_SUBMISSIONS, lead)
        return claimed

    async def refresh(self, records: Sequence[JobRecord], lead: Lead) -> None:
        """Copy into the ledger what happened; `records`: all unfinished jobs of this backend. Looks at AWS Batch once
        in `interval` seconds at most, however often it is called, and ever less often while it is throttled; returns
        after some seconds, to go on where it was with the next call. Raises AwsError, StorageError, and what `lead`
        raises."""
        self._forget_if_stale()
        now = asyncio.get_running_loop().time()
        if self._restraint.pausing or now - self._looked_at < self._settings.interval:
            return
        self._looked_at = now
        await self._restraint.gently(
            self._refresh([each for each in records if self._known_queue(each)], lead)
        )

    def _known_queue(self, record: JobRecord) -> bool:
        """Else nobody serves it until the settings have its queue again."""
        return record.job.queue in self._settings.queues

    def forget(self) -> None:
        """For whoever begins to lead: somebody else may have, and what was remembered may be wrong."""
        self._states.clear()
        self._swept_at = self._looked_at = float("-inf")

    async def reasons(self, record: JobRecord, now: float) -> Sequence[Reason]:
        """Raises AwsError."""
        return await reasons_of(self._aws, self._settings, record, now)

    async def stop(self, record: JobRecord) -> None:
        """End all that AWS Batch still does of a job that ended as a whole. Raises AwsError."""
        state = await self._known(record)
        reason = record.ending.reason if record.ending else "it is over"
        for handed in state.handed:
            if not (handed.over or handed.stopping or handed.done):
                await self.service.terminate(handed.batch_id, reason)
                handed.stopping = reason

    async def _refresh(self, records: Sequence[JobRecord], lead: Lead) -> int:
        turn, faults = Turn(lead, asyncio.get_running_loop().time() + AT_LONGEST), Faults()
        await self._leave(records)
        ready = []
        for record in records:
            with faults.passed_over("asking AWS Batch", job=record.job.id):
                await self._prepare(record)
                ready.append(record)
            unless_throttled(faults)
        ids = [each.batch_id for record in ready for each in self._states[record.job.id].open()]
        details = await self.service.describe(ids)
        for record in ready:
            with faults.passed_over("copying from AWS Batch", job=record.job.id):
                if not await self._look(record, details, turn):
                    self._looked_at = float("-inf")
            unless_throttled(faults)
        await self._sweep()
        faults.raise_first()
        self._restraint.looked()
        return len(ids)

    async def _prepare(self, record: JobRecord) -> None:
        state = await self._known(record)
        if record.ending is not None:
            state.due.clear()
            await self.stop(record)
        else:
            self._check(record, state)
            await self._confirm(record, await self._known(record))

    async def _known(self, record: JobRecord) -> JobState:
        """What was handed over of the job; from AWS Batch, if that is not remembered."""
        state = self._states.setdefault(record.job.id, JobState(round=record.round))
        if not state.known:
            if record.sent or record.round > 1:
                state.adopt(await self._finder.find(record, self._submitter.queue(record)))
            else:
                state.scanned = True
            state.known = True
        state.turn(record.round)
        return state

    def _check(self, record: JobRecord, state: JobState) -> None:
        """What is remembered may lack something, whatever the reason. Counts may be a moment behind."""
        now = asyncio.get_running_loop().time()
        if record.queued <= state.served or not state.scanned:
            state.short_since = None
        elif state.short_since is None:
            state.short_since = now
        elif now - state.short_since > SETTLED:
            log.warning("looking for tasks that nobody serves", job=record.job.id)
            state.known = state.scanned = False
            state.short_since = None

    async def _confirm(self, record: JobRecord, state: JobState) -> None:
        """Before what may have been handed over is handed over again, look whether it was."""
        doubtful = sorted(index for index, due in state.due.items() if due.doubtful and due.at <= self._now())
        if not doubtful:
            return
        state.adopt(await self._finder.find(record, self._submitter.queue(record)))
        unserved = {
            index
            for start in range(0, len(doubtful), PAGE)
            for index in state.unserved(doubtful[start : start + PAGE])
        }
        for index in doubtful:
            due = state.due.pop(index)
            if index in unserved:
                state.due[index] = replace(due, doubtful=False)

    async def _look(self, record: JobRecord, details: dict[str, Reply], turn: Turn) -> bool:
        """False: there was no time for all of it."""
        state = self._states[record.job.id]
        for handed in list(state.open()):
            detail = details.get(handed.batch_id)
            if detail is None:
                self._finder.forgotten(state, handed)
                continue
            job = batch_job(detail)
            handed.created_at = job.created_at  # by the same clock as all others'
            if handed.moved_on(job) and not await self._copy(record, state, handed, job, turn):
                return False
        if not state.scanned:
            await self._finder.scan(record, state)
        if record.ending is None:
            await self._submitter.serve(record, state, MOST_SUBMISSIONS, turn.lead)
        return True

    async def _copy(
        self, record: JobRecord, state: JobState, handed: Handed, job: BatchJob, turn: Turn
    ) -> bool:
        async for jobs in look(self.service, handed, job):
            await turn.lead()
            for useless in await self._recorder.bring_all(record, state, handed, jobs):
                log.warning("stopping what nobody waits for", batch_job=useless, job=record.job.id)
                await self.service.terminate(useless, "another took its place")
            if turn.over:
                return False
        handed.over = job.over
        if not (job.over or handed.stopping) and state.superseded(handed):
            handed.stopping = "another took its place"
            await self.service.terminate(handed.batch_id, handed.stopping)
        if handed.ended_by(job) <= handed.states.count(DONE):
            handed.counts = job.counts
        return True

    async def _leave(self, records: Sequence[JobRecord]) -> None:
        """Jobs that are over, though AWS Batch may not know: they are not among the unfinished any more."""
        unfinished = {record.job.id for record in records}
        for job_id in [each for each in self._states if each not in unfinished]:
            record = await self._records.job(job_id)
            if record is not None and record.status.terminal:
                await self.stop(record)
            del self._states[job_id]

    async def _sweep(self) -> None:
        """What was handed over for a job that is over by now, by somebody who was killed before it could be stopped."""
        now = asyncio.get_running_loop().time()
        if now - self._swept_at < SWEEP:
            return
        for queue in {each.job_queue: each for each in self._settings.queues.values()}.values():
            for job, submission in await self._finder.strays(queue):
                if submission.job_id in self._states:
                    continue
                record = await self._records.job(submission.job_id)
                # A job that this ledger does not have may be another's.
                if record is not None and record.status.terminal and not job.stopped:
                    await self.service.terminate(job.id, "its job is over")
        self._swept_at = now

    def _forget_if_stale(self) -> None:
        if self._restraint.stale():
            self.forget()
