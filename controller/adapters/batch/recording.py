"""Copies what AWS Batch says of a task into the ledger, attempt by attempt, as an agent would have written it.

Every attempt of a Batch job is one of the ledger's: it is begun there when it is first seen to run, or to have run, and
finished when it has ended, fenced by its number like any other. Which number that must be is known beforehand: those
after the one that the submission follows. So whatever was recorded already is recognised, by whoever looks, however
often, and wherever whoever looked before was killed; and of two Batch jobs for one task only one is ever believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from controller.adapters.batch.details import MARK, BatchAttempt, BatchJob
from controller.adapters.batch.handed import DONE, RUNNING, WAITING, Due, Handed, JobState, Judged, valid
from controller.adapters.batch.instances import Instance, Instances
from controller.adapters.batch.outcomes import never_began, outcome_of
from controller.adapters.batch.output import Output, place_of
from controller.adapters.batch.submissions import Lot
from controller.adapters.managed.attempts import attempt_of, lease_of
from controller.ports import Records
from runner import retry
from runner.model import Attempt, Job, Kind, Outcome, Status, TaskId
from runner.ports import Clock, Ledger
from runner.records import JobRecord, RefusalKind, TaskRecord

# Another attempt at the task is not recorded to its end yet, or somebody else changes its record right now.
PASSING = (RefusalKind.HELD, RefusalKind.TOO_EARLY)


class NotHeld(Enum):
    RECORDED = auto()  # its end is in the ledger, or the task has come to its end without it
    LATER = auto()


@dataclass(frozen=True, slots=True)
class Child:
    """One Batch job that stands for one task. `valid`: no later submission has taken its place."""

    record: JobRecord
    handed: Handed
    job: BatchJob
    task: TaskId
    valid: bool

    @property
    def place(self) -> int:
        return self.job.place

    @property
    def lot(self) -> Lot:
        return self.handed.submission.lot

    @property
    def cancelled(self) -> str | None:
        """Why we had it stopped, if it was we."""
        ending = self.record.ending
        if not self.job.stopped or not (ending or self.handed.stopping or self.job.by_us):
            return None
        return ending.reason if ending else self.handed.stopping or self.job.reason.removeprefix(MARK)


class Recorder:
    """`jitter` gives random numbers in [0, 1)."""

    def __init__(
        self,
        records: Records,
        ledger: Ledger,
        output: Output,
        instances: Instances,
        now: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._records = records
        self._ledger = ledger
        self._output = output
        self._instances = instances
        self._now = now
        self._jitter = jitter

    async def bring_all(
        self, record: JobRecord, state: JobState, handed: Handed, jobs: Sequence[BatchJob]
    ) -> Sequence[str]:
        """Returns the ids of Batch jobs that are of no use any more though they go on. Raises AwsError, StorageError;
        what was not recorded then is when it is brought again."""
        arns = {each.instance_arn for job in jobs for each in job.attempts}
        instances = await self._instances.of(arns)
        children = _children(record, state, handed, jobs)
        results = await asyncio.gather(
            *(self._bring(child, state, instances) for child in children), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [job.id for job, useless in zip(jobs, results, strict=True) if useless]

    async def _bring(self, child: Child, state: JobState, instances: Mapping[str, Instance]) -> bool:
        """True: nobody waits for what it does."""
        handed, job = child.handed, child.job
        if handed.states[job.place] == DONE:
            return False
        held: Attempt | NotHeld = NotHeld.RECORDED
        for number, attempt in enumerate(job.attempts, start=1):
            if number > handed.recorded.get(job.place, 0):
                held = await self._ended(child, number, attempt, instances)
        if job.over:
            await self._over(child, state, held)
            return False
        handed.states[job.place] = WAITING
        if job.status == "RUNNING":
            held = await self._hold(child, len(job.attempts) + 1)
            handed.states[job.place] = RUNNING
        return held is NotHeld.RECORDED and (job.status == "RUNNING" or not child.valid)

    async def _ended(
        self, child: Child, number: int, attempt: BatchAttempt, instances: Mapping[str, Instance]
    ) -> Attempt | NotHeld:
        held = await self._hold(child, number)
        if isinstance(held, NotHeld):
            return held
        judged = child.handed.judged.get(child.place)
        if judged is None or judged.owner != held.owner:
            outcome = await self._outcome(child, number, attempt, instances)
            judged = self._judge(child, held, outcome, last=_last(child, number))
        await self._finish(child, held, judged)
        child.handed.recorded[child.place] = number
        return held

    async def _outcome(
        self, child: Child, number: int, attempt: BatchAttempt, instances: Mapping[str, Instance]
    ) -> Outcome:
        last = _last(child, number)
        outcome = outcome_of(
            attempt,
            succeeded=last and child.job.status == "SUCCEEDED",
            cancelled=child.cancelled if last else None,
        )
        instance = instances.get(attempt.instance_arn)
        if instance is not None:
            outcome = replace(outcome, machine_type=instance.type, metadata={"instance": instance.id})
        if not attempt.stream:
            return outcome
        tail = (
            ()
            if outcome.kind in (Kind.SUCCEEDED, Kind.CANCELLED)
            else await self._output.tail(attempt.stream)
        )
        return replace(outcome, tail=tail, log=place_of(self._output.group, attempt.stream))

    def _judge(self, child: Child, held: Attempt, outcome: Outcome, *, last: bool) -> Judged:
        verdict = retry.decide(child.record.job, held, outcome, self._jitter())
        if not last and verdict.status is Status.RUNNABLE:
            verdict = replace(verdict, delay=0.0)  # AWS Batch does not wait
        judged = Judged(held.owner, outcome, verdict)
        child.handed.judged[child.place] = judged
        return judged

    async def _finish(self, child: Child, held: Attempt, judged: Judged) -> None:
        await self._ledger.finish(held, judged.outcome, judged.verdict)
        child.handed.judged.pop(child.place, None)
        child.handed.attempts.pop(child.place, None)

    async def _hold(self, child: Child, number: int) -> Attempt | NotHeld:
        """The ledger's attempt for the Batch job's attempt of that number, begun now if it was not."""
        owner = child.handed.owner(child.place, number)
        known = child.handed.attempts.get(child.place)
        if known is not None and known.owner == owner:
            return known
        # Read first: `begin` would open the next attempt of a task whose attempt here has ended already.
        found = await self._records.task(child.task)
        if found is not None and found.status is Status.RUNNING and found.owner == owner:
            return self._keep(child, attempt_of(found, child.record.job))
        if not child.valid or (found is not None and _past(found, child.lot.after + number)):
            return NotHeld.RECORDED
        return await self._begin(child, owner)

    async def _begin(self, child: Child, owner: str) -> Attempt | NotHeld:
        begun = await self._ledger.begin(lease_of(child.task, owner), child.record.job, owner)
        if isinstance(begun, Attempt):
            return self._keep(child, begun)
        return NotHeld.LATER if begun.kind in PASSING else NotHeld.RECORDED

    def _keep(self, child: Child, attempt: Attempt) -> Attempt:
        child.handed.attempts[child.place] = attempt
        return attempt

    async def _over(self, child: Child, state: JobState, held: Attempt | NotHeld) -> None:
        """Its last attempt is recorded, or it had none. What becomes of its task the ledger says."""
        if not child.job.attempts and child.valid and child.cancelled is None:
            held = await self._hold(child, 1)
            if isinstance(held, Attempt):
                await self._finish(child, held, self._judge(child, held, never_began(child.job), last=True))
        if held is NotHeld.LATER:
            return
        child.handed.states[child.place] = DONE
        # What was cancelled comes anew with the round that lifts the cancel.
        anew = child.cancelled is not None and child.handed.submission.round != child.record.round
        if child.valid and child.record.ending is None and not anew:
            await self.follow(child.record, state, child.task, child.lot)

    async def follow(self, record: JobRecord, state: JobState, task: TaskId, lot: Lot) -> None:
        """Hand the task over again, if the ledger has it wait for another try."""
        found = await self._records.task(task)
        if found is None:  # it was stopped before it began, and what stopped it was lifted since
            state.due[task.index] = Due(lot, self._now())
        elif found.status is Status.RUNNABLE:
            due = found.not_before if found.not_before is not None else self._now()
            state.due[task.index] = Due(lot_of(found, record.job), due)

    async def lose(self, record: JobRecord, task: TaskRecord, reason: str) -> None:
        """Record the attempt that holds the task as lost: nobody will ever tell how it ended."""
        attempt = attempt_of(task, record.job)
        outcome = Outcome(Kind.LOST, reason=reason, finished_at=self._now(), memory=task.memory)
        verdict = retry.decide(record.job, attempt, outcome, self._jitter())
        await self._ledger.finish(attempt, outcome, verdict)

    async def refuse(self, record: JobRecord, task: TaskId, reason: str) -> None:
        """End a task that AWS Batch cannot be given at all."""
        owner = f"aws-batch#{task}"
        begun = await self._ledger.begin(lease_of(task, owner), record.job, owner)
        if isinstance(begun, Attempt):
            outcome = Outcome(Kind.START_ERROR, reason=reason, finished_at=self._now())
            await self._ledger.finish(begun, outcome, retry.decide(record.job, begun, outcome, 0.0))


def _children(
    record: JobRecord, state: JobState, handed: Handed, jobs: Sequence[BatchJob]
) -> Sequence[Child]:
    indices = [handed.submission.indices[job.place] for job in jobs]
    near = state.near(min(indices), max(indices)) if indices else ()
    return [
        Child(record, handed, job, TaskId(record.job.id, index), valid(index, near) is handed)
        for index, job in zip(indices, jobs, strict=True)
    ]


def lot_of(task: TaskRecord | None, job: Job) -> Lot:
    """After what the task's next attempt comes."""
    if task is None:
        return Lot(0, 0, job.limits.memory)
    memory = task.memory or job.limits.memory
    return Lot(task.attempt, task.tries, memory, task.user_failures, task.infra_failures)


def _past(task: TaskRecord, number: int) -> bool:
    """Whether the ledger has come to the attempt of that number without us."""
    return task.attempt >= number or task.status.terminal


def _last(child: Child, number: int) -> bool:
    return child.job.over and number == len(child.job.attempts)
