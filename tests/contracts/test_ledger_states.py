"""Whatever agents and users do in whatever order: one current attempt, one terminal record a round, right sums."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from runner.model import Attempt, Charge, Kind, Outcome, Retry, Status, TaskId
from runner.records import Ending, JobRecord, Refusal, RefusalKind, TaskRecord, Verdict
from tests.contracts.acts import a_job, a_lease
from tests.contracts.machines import RigMachine, explore
from tests.contracts.rigs import EPOCH, LEASE, RIGS

SIZE = 4
INDICES = st.integers(0, SIZE - 1)
OWNERS = st.sampled_from(["anna#1", "anna#2", "bert#1"])
MESSAGES = st.sampled_from(["message-1", "message-2"])
VERDICTS = {
    Status.SUCCEEDED: (Kind.SUCCEEDED, None),
    Status.FAILED: (Kind.FAILED, Charge.USER),
    Status.RUNNABLE: (Kind.INTERRUPTED, Charge.INFRA),
    Status.CANCELLED: (Kind.CANCELLED, None),
}


class LedgerMachine(RigMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger, self.records = self.rig.ledger(), self.rig.records()
        self.job = a_job(SIZE, retry=Retry(infra_retries=2))
        self.do(self.records.register(self.job))
        self.attempts: list[Attempt] = []
        self.current: dict[int, Attempt] = {}
        # What was terminal when last looked at; only a new round may change it.
        self.settled: dict[int, TaskRecord] = {}
        # By (index, message): when it was refused as HELD, with no beat of the owner since.
        self.noted: dict[tuple[int, str], float] = {}
        self.outcomes = 0
        self.sent: set[int] = set()
        # Begun before the ledger was told that they are sent, as after a crash: these may be sent once more.
        self.early: set[int] = set()

    def job_record(self) -> JobRecord:
        record = self.do(self.records.job(self.job.id))
        assert record is not None
        return record

    @rule(index=INDICES, owner=OWNERS, message=MESSAGES)
    def begin(self, index: int, owner: str, message: str) -> None:
        held = self.current.get(index)
        begun = self.do(self.ledger.begin(a_lease(self.job, index, message), self.job, owner))
        if isinstance(begun, Refusal):
            self.refused(index, message, held, begun)
            return
        assert all(begun.number > old.number for old in self.attempts if old.task.index == index)
        assert index not in self.settled
        if held is not None:
            self.check_takeover(index, message, held, owner)
        self.attempts.append(begun)
        self.current[index] = begun
        if index not in self.sent:
            self.early.add(index)
        self.forget_notes(index)

    def refused(self, index: int, message: str, held: Attempt | None, refusal: Refusal) -> None:
        if refusal.kind is RefusalKind.HELD:
            assert held is not None
            assert refusal.retry_after is not None
            self.noted.setdefault((index, message), self.rig.now())
        elif refusal.kind in (RefusalKind.EXHAUSTED, RefusalKind.CANCELLED):
            self.current.pop(index, None)
        elif refusal.kind is RefusalKind.FINISHED:
            assert index in self.settled

    def check_takeover(self, index: int, message: str, held: Attempt, owner: str) -> None:
        restarted = held.owner != owner and held.owner.split("#")[0] == owner.split("#")[0]
        silent_since = self.noted.get((index, message))
        assert restarted or (silent_since is not None and self.rig.now() - silent_since >= LEASE)

    def forget_notes(self, index: int) -> None:
        for key in [key for key in self.noted if key[0] == index]:
            del self.noted[key]

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.attempts))
        gone = self.do(self.ledger.touch([attempt]))
        index = attempt.task.index
        assert (not gone) == (self.current.get(index) == attempt)
        if not gone:
            self.forget_notes(index)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), status=st.sampled_from(list(VERDICTS)), delay=st.sampled_from([0.0, 50.0]))
    def finish(self, data: st.DataObject, status: Status, delay: float) -> None:
        attempt = data.draw(st.sampled_from(self.attempts))
        kind, charge = VERDICTS[status]
        self.outcomes += 1
        outcome = Outcome(kind, charge, reason=f"outcome {self.outcomes}")
        verdict = Verdict(status, charge, delay=delay if status is Status.RUNNABLE else 0.0)
        stands = self.do(self.ledger.finish(attempt, outcome, verdict))
        index = attempt.task.index
        if stands and status is Status.CANCELLED and self.job_record().ending is None:
            self.sent.discard(index)  # it runs again: whatever cancelled it was lifted
        assert stands == (self.current.get(index) == attempt)
        assert self.do(self.ledger.finish(attempt, outcome, verdict)) == stands
        if stands:
            del self.current[index]
            self.forget_notes(index)

    @rule()
    def end(self) -> None:
        before = self.job_record()
        ended = self.do(self.records.end(self.job.id, Ending(Status.CANCELLED, "cancelled", EPOCH)))
        assert ended == (before.ending is None and not before.status.terminal)

    @rule()
    def reopen(self) -> None:
        before = self.job_record()
        count = self.do(self.records.reopen(self.job.id, self.rig.now()))
        running = before.counts.running if before.ending is not None else 0
        assert count == before.counts.failed + before.counts.cancelled + running
        assert self.job_record().round == before.round + (count > 0)
        if count:
            succeeded = {index for index in range(SIZE) if self.status(index) is Status.SUCCEEDED}
            self.sent &= succeeded | set(self.do(self.records.outstanding(self.job.id, 100)))
            self.settled.clear()

    @rule(limit=st.integers(1, SIZE))
    def send(self, limit: int) -> None:
        window = self.do(self.records.unsent(self.job.id, self.job_record().queued + limit))
        assert len(window.indices) == len(set(window.indices)) <= limit
        assert not (self.sent - self.early) & set(window.indices)
        self.do(self.records.sent(self.job.id, window))
        self.sent |= set(window.indices)

    @rule(seconds=st.sampled_from([1.0, LEASE * 0.9, LEASE * 1.2, 700.0]))
    def wait(self, seconds: float) -> None:
        self.do(self.rig.advance(seconds))

    @rule()
    def tidy(self) -> None:
        before = self.job_record()
        unfinished = self.do(self.records.tidy())
        assert list(unfinished) == ([] if before.status.terminal else [before])
        assert self.job_record() == before

    def status(self, index: int) -> Status | None:
        record = self.do(self.records.task(TaskId(self.job.id, index)))
        return record.status if record else None

    @invariant()
    def the_counts_add_up(self) -> None:
        record = self.job_record()
        assert record.counts.size == SIZE
        assert record.counts.running == len(self.current)
        assert min(vars_of(record)) >= 0

    @invariant()
    def the_counts_are_those_of_the_tasks(self) -> None:
        counts = self.job_record().counts
        tasks = self.do(self.records.tasks(self.job.id))
        by_status = {status: sum(task.status is status for task in tasks) for status in Status}
        assert counts.succeeded == by_status[Status.SUCCEEDED]
        assert counts.failed == by_status[Status.FAILED]
        assert counts.cancelled >= by_status[Status.CANCELLED]

    @invariant()
    def each_status_lists_its_own_tasks(self) -> None:
        tasks = self.do(self.records.tasks(self.job.id))
        for status in (Status.RUNNABLE, Status.FAILED, Status.CANCELLED):
            listed = self.do(self.records.tasks(self.job.id, statuses={status}))
            assert listed == [task for task in tasks if task.status is status]

    @invariant()
    def an_ended_task_stays_as_it_is_until_a_new_round(self) -> None:
        for task in self.do(self.records.tasks(self.job.id)):
            index = task.task.index
            if index in self.settled:
                assert task == self.settled[index]
            elif task.status.terminal:
                self.settled[index] = task

    @invariant()
    def history_has_every_ended_attempt_once(self) -> None:
        for index in range(SIZE):
            numbers = [each.number for each in self.do(self.records.attempts(TaskId(self.job.id, index)))]
            begun = [each.number for each in self.attempts if each.task.index == index]
            running = self.current.get(index)
            assert numbers == [number for number in begun if running is None or number != running.number]

    @invariant()
    def what_was_sent_and_has_not_ended_is_outstanding(self) -> None:
        record = self.job_record()
        outstanding = set(self.do(self.records.outstanding(self.job.id, 100)))
        if record.ending is None:
            assert outstanding >= self.sent - set(self.settled)
            assert record.queued <= len(outstanding | set(self.current))
        else:
            assert outstanding == set(self.current)


def vars_of(record: JobRecord) -> list[int]:
    counts = record.counts
    return [
        counts.pending,
        counts.runnable,
        counts.running,
        counts.succeeded,
        counts.failed,
        counts.cancelled,
    ]


@pytest.mark.parametrize("rig", RIGS)
def test_only_the_current_attempt_writes_and_each_round_has_one_record(rig: str) -> None:
    explore(LedgerMachine, rig)
