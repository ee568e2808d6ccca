"""Each rule over histories made by hand: what it says of one that breaks the promise, and that it says nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controller.simulation.checker import check
from controller.simulation.history import Event
from controller.simulation.promises.rule import End, JobEnd, Terms
from runner.array import Array
from runner.model import Job, Limits, Retry, Status, TaskId
from runner.records import Counts, JobRecord, TaskRecord

LETTERS = "letters"
TERMS = Terms(lease=60.0, dead_letters=LETTERS)
AGENT, OTHER, LEADER = "i-1/agent1", "i-2/agent1", "controller.1"
OWNERS = {AGENT: "i-1#a", OTHER: "i-2#b"}
SUCCEEDED, FAILED, RUNNABLE = map(str, (Status.SUCCEEDED, Status.FAILED, Status.RUNNABLE))


class Told:
    """A history of one job with one task, `j/0`, told an event after the other. Each takes a second, unless said so."""

    def __init__(self) -> None:
        self.at = 0.0
        self.events: list[Event] = []
        for machine, incarnation in (("i-1", "a"), ("i-2", "b")):
            self("agent-started", machine, machine, incarnation=incarnation)
        self("registered", "j", "submit-j", size=1, waits=False)
        self.sent("m")

    def __call__(self, what: str, subject: str = "j/0", by: str = AGENT, /, **more: Any) -> Told:
        self.at += more.pop("after", 1.0)
        self.events.append(Event(self.at, what, subject, by, more))
        return self

    def sent(self, message: str, queue: str = "q", subject: str = "j/0", **more: Any) -> Told:
        return self("sent", subject, LEADER, message=message, queue=queue, receives=0, **more)

    def deleted(self, message: str = "m", queue: str = "q", subject: str = "j/0") -> Told:
        return self("deleted", subject, message=message, queue=queue, receives=1)

    def begun(self, attempt: int = 1, by: str = AGENT, settled: int = 0, **more: Any) -> Told:
        given = {"attempt": attempt, "owner": OWNERS[by], "settled": settled, "was": "", **more}
        return self("begun", "j/0", by, **given)

    def started(self, attempt: int = 1, by: str = AGENT) -> Told:
        return self("container-started", "j/0", by.partition("/")[0], attempt=attempt)

    def ended(
        self, attempt: int = 1, code: int | None = 0, how: str = "itself", by: str = AGENT, **more: Any
    ) -> Told:
        return self(
            "container-ended", "j/0", by.partition("/")[0], attempt=attempt, exit=code, how=how, **more
        )

    def recorded(
        self, status: str = SUCCEEDED, kind: str = "succeeded", by: str = AGENT, **more: Any
    ) -> Told:
        given = {"attempt": 1, "round": 1, "user": 0, "infra": 0, **more}
        return self("recorded", "j/0", by, status=status, kind=kind, **given)

    def beat(self, renewed: Sequence[str] = ("j/0#1",), dropped: Sequence[str] = (), **more: Any) -> Told:
        return self("beat", "i-1#a", attempts=renewed, dropped=dropped, **more)

    def ran(self) -> Told:
        return self.begun().started().ended().recorded()

    def problems(
        self, status: Status = Status.SUCCEEDED, limits: Limits | None = None, **end: Any
    ) -> list[str]:
        jobs = {"j": job_end(status, limits or Limits())}
        found = check(self.events, End(self.at, jobs, **end), TERMS)
        return [f"{each.promise}: {each.problem}" for each in found]


def job_end(status: Status, limits: Limits) -> JobEnd:
    job = Job("j", "j", ("work",), Array.of_size(1), limits=limits, retry=Retry(retries=1))
    counts = {Status.SUCCEEDED: Counts(succeeded=1), Status.FAILED: Counts(failed=1)}
    record = JobRecord(job, counts.get(status, Counts(cancelled=1)), released_at=0.0)
    return JobEnd(record, {0: TaskRecord(TaskId("j", 0), status)})


def test_nothing_is_said_of_a_task_that_just_runs() -> None:
    assert Told().ran().deleted().problems() == []


def test_nothing_is_said_of_a_task_that_is_lost_given_up_and_run_again() -> None:
    told = Told().begun().started().ended(code=None, how="machine")
    told.events.insert(-1, Event(told.at, "lost", "i-1"))
    told.recorded(RUNNABLE, "lost", OTHER, infra=1, after=70.0).begun(2, OTHER).started(2, OTHER)
    assert told.ended(2, by=OTHER).recorded(by=OTHER, attempt=2).deleted().problems() == []


# 1


def test_a_second_terminal_record_is_seen() -> None:
    told = Told().ran().recorded()
    assert "1: recorded after its terminal record" in told.problems()


def test_an_attempt_after_a_success_is_seen() -> None:
    assert "1: begun again after its terminal record" in Told().ran().begun(2).problems()


def test_an_attempt_after_a_failure_needs_a_new_round() -> None:
    told = Told().begun().started().ended(code=1).recorded(FAILED, "failed", user=1).begun(2, settled=1)
    assert "1: begun again after its terminal record" in told.problems()


def test_an_attempt_in_a_new_round_is_right() -> None:
    told = Told().begun().started().ended(code=None, how="vanished").recorded(FAILED, "lost", infra=11)
    told("reopened", "j", "observer", round=2).begun(2, settled=1).started(2).ended(2)
    assert told.recorded(attempt=2, round=2).problems() == []


@pytest.mark.parametrize("what", ["rewritten", "erased"])
def test_a_record_that_is_changed_is_seen(what: str) -> None:
    assert "1: a record of it was changed" in Told().ran()(what, attempt=1).problems()


def test_a_task_without_a_terminal_status_is_seen() -> None:
    assert "1: has no terminal status though its job is over" in Told().problems(Status.RUNNING)


def test_counts_that_do_not_add_up_are_seen() -> None:
    told = Told().ran()
    jobs = {"j": JobEnd(job_end(Status.FAILED, Limits()).record, job_end(Status.SUCCEEDED, Limits()).tasks)}
    (found,) = check(told.events, End(told.at, jobs), TERMS)
    assert found.promise == 1
    assert "its counts are" in found.problem


# 2


def test_a_record_by_another_agent_is_seen() -> None:
    told = Told().begun().started().ended().recorded(by=OTHER)
    assert "2: recorded by somebody else than its owner" in told.problems()


def test_a_successor_on_the_same_machine_may_record() -> None:
    told = Told().begun().started()("agent-started", "i-1", "i-1", incarnation="c").ended()
    assert told.recorded(by="i-1/agent2").problems() == []


def test_a_predecessor_on_the_same_machine_may_not() -> None:
    told = Told()("agent-started", "i-1", "i-1", incarnation="c")
    told("begun", attempt=1, owner="i-1#c", settled=0, was="").started().ended().recorded(by=AGENT)
    assert "2: recorded by somebody else than its owner" in told.problems()


def test_an_attempt_recorded_twice_is_seen() -> None:
    told = Told().begun().started().ended(code=None, how="vanished").recorded(RUNNABLE, "lost", infra=1)
    assert "2: an attempt was recorded twice" in told.recorded(FAILED, "lost").problems()


def test_a_success_of_which_no_container_knows_is_seen() -> None:
    assert "2: its record is not what became of its container" in Told().begun().recorded().problems()


def test_numbers_that_leave_one_out_are_seen() -> None:
    assert "2: attempt 1 should be the next" in Told().begun(2).problems()


def test_a_task_taken_from_an_owner_that_beats_is_seen() -> None:
    told = Told().begun().beat(after=50.0).recorded(RUNNABLE, "lost", OTHER, infra=1, after=30.0)
    assert "2: given up though its owner beat 30.0 s ago" in told.problems()


def test_a_beat_for_what_its_owner_then_dropped_before_it_started_keeps_nobody_from_it() -> None:
    told = Told().begun().beat(after=50.0).beat((), ["j/0#1"]).recorded(RUNNABLE, "lost", OTHER, after=30.0)
    assert told.problems() == []


def test_a_task_that_was_dropped_is_taken_a_lease_after_it_was_begun_all_the_same() -> None:
    told = Told().begun().beat().beat((), ["j/0#1"]).recorded(RUNNABLE, "lost", OTHER, after=30.0)
    assert "2: given up though its owner beat 32.0 s ago" in told.problems()


def test_a_beat_for_what_had_started_counts_though_its_owner_dropped_it() -> None:
    told = Told().begun().started().beat(after=50.0).beat((), ["j/0#1"])
    told.recorded(RUNNABLE, "lost", OTHER, infra=1, after=30.0)
    assert "2: given up though its owner beat 31.0 s ago" in told.problems()


def test_a_beat_for_what_its_owner_took_up_again_counts() -> None:
    told = Told().begun().beat((), ["j/0#1"]).beat(after=50.0)
    told.recorded(RUNNABLE, "lost", OTHER, infra=1, after=30.0)
    assert "2: given up though its owner beat 30.0 s ago" in told.problems()


# 3


def test_a_message_deleted_too_early_is_seen() -> None:
    told = Told().begun().deleted()
    assert "3: its message is deleted, its task has not ended, and there is no other" in told.problems()


def test_a_message_may_go_once_there_is_another() -> None:
    told = Told().begun().sent("n", "q-od").deleted()
    assert not [each for each in told.problems() if each.startswith("3")]


@pytest.mark.parametrize("again", [False, True])
def test_a_message_may_go_though_somebody_purged_the_other_unless_it_came_again(again: bool) -> None:
    told = Told().begun()("received", message="m", queue="q", receives=1)
    told.sent("n", "q-od")("purged", message="n", queue="q-od", receives=0)
    if again:
        told("received", message="m", queue="q", receives=2)
    told.deleted()
    assert any(each.startswith("3: its message is deleted") for each in told.problems()) is again


def test_a_message_may_go_once_the_job_is_over_as_a_whole() -> None:
    told = Told()("ended", "j", "observer", status="CANCELLED").deleted()
    assert not [each for each in told.problems() if each.startswith("3")]


def test_a_new_rounds_message_needs_a_record_of_that_round() -> None:
    told = (
        Told().begun().started().ended(code=None, how="vanished").recorded(FAILED, "lost", infra=11).deleted()
    )
    told("reopened", "j", "observer", round=2).sent("n")
    told("received", message="n", queue="q", receives=1).deleted("n")
    assert [each for each in told.problems() if each.startswith("3: its message is deleted")]


# 4


def test_a_container_that_outlives_its_lease_is_seen() -> None:
    told = Told().begun().started().ended(after=80.0).recorded()
    assert "4: its container outlived its lease by 21.0 s, its grace is 10 s" in told.problems()


def test_a_beat_renews_the_lease() -> None:
    told = Told().begun().started().beat(after=50.0).ended(after=50.0).recorded()
    assert told.problems() == []


def test_a_beat_that_comes_too_late_does_not_hide_that() -> None:
    told = Told().begun().started().beat(after=90.0).ended().recorded()
    assert [each for each in told.problems() if each.startswith("4")]


def test_an_engine_in_trouble_can_end_no_container() -> None:
    told = Told().begun().started()("engine-trouble", "i-1", "", seconds=60.0).ended(after=80.0).recorded()
    assert told.problems() == []


def test_a_container_that_is_left_in_the_end_is_seen() -> None:
    assert "4: its container is still there in the end" in Told().begun().started().problems()


# 5


def test_what_has_not_ended_is_seen() -> None:
    told = Told().ran()
    assert [each[:2] for each in told.problems(unfinished=["j"], machines=["i-1"])] == ["5:", "5:"]


def test_a_crash_is_seen() -> None:
    told = Told().ran()("says", "execution-failed", level="error", crash="KeyError()")
    assert "5: crashed: KeyError()" in told.problems()


def test_a_demand_of_nil_while_a_task_is_left_is_seen() -> None:
    told = Told()("published", "demand", LEADER, demand=0, after=300.0).ran()
    assert "5: 1 tasks are left, and the demand is said to be nil" in told.problems()


# 6


def test_a_task_that_goes_with_its_machine_is_seen() -> None:
    told = Told().begun().started().ended(code=None, how="machine")
    assert "6: its machine was ended while it ran" in told.problems()


def test_an_interruption_needs_a_cause() -> None:
    told = Told().begun().started().ended(code=143, how="term").recorded(RUNNABLE, "interrupted", infra=1)
    assert "6: interrupted on a machine that nobody took or stopped" in told.problems()


def test_an_instance_takes_one_from_the_desired_capacity() -> None:
    told = Told().ran()("desired", "g", before=3, now=2)
    assert told.problems() == []
    told("desired", "g", before=2, now=1)
    assert "6: took more than itself from the desired capacity" in told.problems()


def test_whoever_asks_for_fewer_than_there_are_is_seen() -> None:
    told = Told().ran()("in-service", "i-1", "", group="g")("desired", "g", LEADER, before=1, now=0)
    assert "6: 1 are in service, and fewer are asked for" in told.problems()


# 7


@pytest.mark.parametrize("how", ["kill", "term", "vanished", "machine"])
def test_a_charge_for_what_the_task_did_not_do_is_seen(how: str) -> None:
    told = Told().begun().started().ended(code=137, how=how).recorded(RUNNABLE, "killed", user=1)
    assert "7: the user is charged for what was not their doing" in told.problems()


def test_a_time_limit_that_strikes_early_is_seen() -> None:
    told = (
        Told().begun().started().ended(code=143, how="term", after=20.0).recorded(FAILED, "timed_out", user=2)
    )
    limits = Limits(timeout=30.0)
    assert "7: its time limit of 30 s ended it after 20.0 s" in told.problems(Status.FAILED, limits)


def test_a_failure_before_the_retries_are_used_up_is_seen() -> None:
    told = Told().begun().started().ended(code=1).recorded(FAILED, "failed", user=1)
    (found,) = told.problems(Status.FAILED)
    assert found.startswith("7: FAILED after 1 failures of its own and 0 losses")


def a_retry_after(status: str) -> Told:
    told = Told().begun().started().ended(code=1).recorded(status, "failed", user=1)
    told("reopened", "j", "observer", round=2).begun(2, settled=1, was=status)
    return told.started(2).ended(2, code=1).recorded(FAILED, "failed", attempt=2, round=2, user=1)


def test_what_had_not_ended_when_its_job_was_retried_has_used_up_what_it_had() -> None:
    assert not a_retry_after(RUNNABLE).problems(Status.FAILED)


def test_what_had_failed_when_its_job_was_retried_has_used_up_nothing() -> None:
    (found,) = a_retry_after(FAILED).problems(Status.FAILED)
    assert found.startswith("7: FAILED after 1 failures of its own and 0 losses")


# 8


def bad(letter: Mapping[str, Any] | None = None) -> Told:
    told = Told().ran().sent("b", subject="?1")("bad-message", "?1", "")
    told("received", "?1", message="b", queue="q", receives=1)
    if letter is not None:
        told.sent("l", LETTERS, "?1", **letter)
    return told.deleted("b", subject="?1")


def test_a_bad_message_is_put_aside_with_its_reason() -> None:
    assert bad({"reason": "not JSON"}).problems() == []


def test_a_bad_message_that_is_dropped_is_seen() -> None:
    assert bad().problems() == ["8: a bad message was dropped", "3: a message that points to nothing is gone"]


def test_a_bad_message_without_a_reason_is_seen() -> None:
    assert "8: put aside without a reason" in bad({}).problems()


@pytest.mark.parametrize(("apart", "hot"), [(0.5, True), (5.0, False)])
def test_a_message_that_goes_round_and_round_is_seen(apart: float, hot: bool) -> None:
    told = bad({"reason": "not JSON"})
    for _ in range(20):
        told("received", "?1", message="b", queue="q", receives=2, after=apart)
    assert (any(each.startswith("8: received 15 times in") for each in told.problems())) is hot


def test_a_write_of_what_is_refused_is_seen() -> None:
    told = Told().ran()("submission-refused", "j", "")
    assert "8: was refused after something of it was written" in told.problems()


# what all need


def test_two_containers_at_once_are_seen() -> None:
    told = Told().begun().started().begun(2, OTHER).started(2, OTHER).ended().ended(2, by=OTHER)
    assert "0: two containers of it run at once" in told.problems()


def missing(*, really: bool) -> Told:
    told = Told()
    if really:
        told("purged", message="m", queue="q", receives=0)
    return told.sent("n", after=200.0)(
        "says", "messages-were-missing", LEADER, level="warning", job="j", resent="1"
    ).ran()


def test_tasks_that_were_missing_are_sent_again() -> None:
    assert missing(really=True).problems() == []


def test_tasks_that_were_overlooked_are_not() -> None:
    assert missing(really=False).problems() == ["0: its messages were sent again, and none was missing"]
