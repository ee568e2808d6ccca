"""Why is it not running, why did it fail: a situation in, sentences out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.explain import explain
from controller.obstacles import SILENT_AFTER, Situation
from runner.array import Array
from runner.model import Charge, Job, Kind, Limits, Outcome, Retry, Sidecar, Status, TaskId, Usage
from runner.records import AttemptRecord, Backlog, Counts, Ending, HostReport, JobRecord, TaskRecord

NOW = 1000.0
GIB = 1024**3
JOB = Job("jjj", "job", ("x",), Array.of_size(10), limits=Limits(vcpus=1, memory=GIB, timeout=100.0))
OPEN = JobRecord(JOB, Counts(runnable=10), released_at=900.0, sent=10, queued=10)
HOST = HostReport(
    host="local-1",
    incarnation="a",
    state="running",
    vcpus=4,
    memory=8 * GIB,
    free_vcpus=4,
    free_memory=8 * GIB,
    tasks=0,
    engines=("process", "docker"),
    queues=("default",),
    pid=1,
    started_at=800.0,
    seen_at=NOW - 1,
)
FULL = replace(HOST, free_vcpus=0, tasks=4)
PARENT = JobRecord(
    Job("ppp", "parent", ("x",), Array.of_size(4)), Counts(runnable=3, succeeded=1), released_at=1
)
SITUATION = Situation(OPEN, NOW, led=True, hosts=[HOST])

FAILED = Outcome(
    Kind.FAILED,
    Charge.USER,
    exit_code=3,
    reason="exit code 3",
    started_at=900.0,
    finished_at=902.0,
    tail=("first", "", "boom"),
)
TASK = TaskId("jjj", 4)
WAITING = TaskRecord(TASK, Status.RUNNABLE)
RUNNING = TaskRecord(TASK, Status.RUNNING, attempt=1, tries=1, owner="local-1#a", begun_at=950.0)
ENDED = TaskRecord(
    TASK,
    Status.FAILED,
    attempt=1,
    tries=1,
    owner="local-1#a",
    user_failures=1,
    begun_at=900.0,
    outcome=FAILED,
)


def job_with(**changes: Any) -> JobRecord:
    """The open job with other parts; those of the job itself go to it."""
    own = {key: value for key, value in changes.items() if key in Job.__dataclass_fields__}
    rest = {key: value for key, value in changes.items() if key not in own}
    return replace(OPEN, job=replace(JOB, **own), **rest)


def codes(situation: Situation) -> list[str]:
    return [reason.code for reason in explain(situation)]


def told(situation: Situation) -> str:
    return "\n".join(reason.text for reason in explain(situation))


def after(outcome: Outcome, **changes: Any) -> Situation:
    """The situation of a task that failed for good in this way."""
    return replace(SITUATION, task=replace(ENDED, outcome=outcome, **changes))


CANCELLED = Ending(Status.CANCELLED, "cancelled by the user", 990.0)
PARENT_FAILED = Ending(Status.FAILED, "parent (ppp) failed: 1 of 4 tasks did", 990.0)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        pytest.param({"led": False}, "nobody_supervises", id="nobody supervises"),
        pytest.param({"hosts": []}, "no_agent", id="no agent yet"),
        pytest.param(
            {"hosts": [replace(HOST, seen_at=NOW - SILENT_AFTER - 1)]}, "no_agent", id="only a silent agent"
        ),
        pytest.param({"hosts": [replace(HOST, queues=("other",))]}, "queue_not_served", id="another queue"),
        pytest.param(
            {"job": job_with(image="busybox"), "hosts": [replace(HOST, engines=("process",))]},
            "no_engine",
            id="an image, and no Docker",
        ),
        pytest.param(
            {"hosts": [replace(HOST, memory=GIB // 2)]}, "does_not_fit", id="too large for any agent"
        ),
        pytest.param(
            {
                "job": job_with(image="busybox", sidecars=(Sidecar("s", "busybox", memory=HOST.memory),)),
                "hosts": [replace(HOST, engines=("docker",))],
            },
            "does_not_fit",
            id="too large for any agent with its sidecars",
        ),
        pytest.param(
            {"hosts": [replace(HOST, state="unhealthy", note="disk low")]},
            "agent_takes_no_work",
            id="an unhealthy agent",
        ),
        pytest.param(
            {"job": job_with(max_parallel=2, counts=Counts(runnable=8, running=2))}, "running", id="some run"
        ),
        pytest.param({"hosts": [FULL]}, "no_room", id="agents are full"),
        pytest.param({"ahead": 7}, "others_ahead", id="other jobs first"),
        pytest.param({"job": job_with(sent=5, queued=5)}, "not_enqueued", id="not all enqueued"),
        pytest.param({"backlog": Backlog(3, 0, 0, NOW)}, "queued", id="a message waits"),
        pytest.param({}, "about_to_start", id="nothing in its way"),
        pytest.param(
            {"job": job_with(released_at=None), "parents": {"ppp": PARENT}},
            "waits_for_job",
            id="waits for a job",
        ),
        pytest.param({"job": job_with(counts=Counts(succeeded=10))}, "succeeded", id="succeeded"),
        pytest.param({"job": job_with(counts=Counts(succeeded=9, failed=1))}, "tasks_failed", id="failed"),
        pytest.param(
            {"job": job_with(counts=Counts(cancelled=10), ending=CANCELLED)}, "cancelled", id="cancelled"
        ),
        pytest.param(
            {"job": job_with(counts=Counts(cancelled=10), ending=PARENT_FAILED)},
            "ended_early",
            id="parent failed",
        ),
        pytest.param(
            {"job": job_with(counts=Counts(running=1, cancelled=9), ending=CANCELLED)},
            "stopping",
            id="stopping",
        ),
    ],
)
def test_the_first_reason_about_a_job(changes: dict[str, Any], first: str) -> None:
    assert codes(replace(SITUATION, **changes))[0] == first


@pytest.mark.parametrize(
    ("task", "changes", "first"),
    [
        pytest.param(WAITING, {}, "about_to_start", id="nothing in its way"),
        pytest.param(WAITING, {"led": False}, "nobody_supervises", id="nobody supervises"),
        pytest.param(WAITING, {"job": job_with(sent=2)}, "not_enqueued", id="not enqueued yet"),
        pytest.param(
            replace(WAITING, attempt=1, not_before=NOW + 5, user_failures=1), {}, "backoff", id="held back"
        ),
        pytest.param(
            replace(WAITING, attempt=1, not_before=NOW - 5), {}, "about_to_start", id="held back no more"
        ),
        pytest.param(
            replace(WAITING, memory=16 * GIB), {}, "does_not_fit", id="has come to need more than there is"
        ),
        pytest.param(
            replace(WAITING, status=Status.PENDING),
            {"job": job_with(released_at=None), "parents": {"ppp": PARENT}},
            "waits_for_job",
            id="waits for a job",
        ),
        pytest.param(RUNNING, {}, "running", id="runs"),
        pytest.param(ENDED, {}, "failed", id="failed"),
        pytest.param(
            replace(ENDED, status=Status.CANCELLED, reason="cancelled by the user"),
            {},
            "cancelled",
            id="cancelled while it waited for another try",
        ),
        pytest.param(TaskRecord(TASK, Status.CANCELLED, reason="why"), {}, "cancelled", id="never began"),
    ],
)
def test_the_first_reason_about_a_task(task: TaskRecord, changes: dict[str, Any], first: str) -> None:
    assert codes(replace(SITUATION, task=task, **changes))[0] == first


def test_max_parallel_is_named_for_the_tasks_that_wait() -> None:
    record = job_with(max_parallel=2, counts=Counts(runnable=8, running=2))
    assert "max_parallel" in codes(replace(SITUATION, job=record))


def test_where_nobody_supervises_nothing_else_is_told() -> None:
    assert codes(replace(SITUATION, led=False, backlog=Backlog(9, 0, 0, NOW), ahead=3)) == [
        "nobody_supervises"
    ]


def test_a_job_that_waits_for_a_parent_says_how_far_that_is() -> None:
    text = told(replace(SITUATION, job=job_with(released_at=None), parents={"ppp": PARENT}))
    assert "parent (ppp)" in text
    assert "1 of 4" in text


def test_a_job_that_a_failed_parent_ended_says_how_to_open_both_again() -> None:
    parent = replace(PARENT, counts=Counts(failed=4))
    ended = job_with(counts=Counts(cancelled=10), ending=PARENT_FAILED)
    assert "retry --downstream ppp" in told(replace(SITUATION, job=ended, parents={"ppp": parent}))


def test_a_failed_job_shows_its_first_failures_with_their_last_line() -> None:
    failed = job_with(counts=Counts(succeeded=9, failed=1))
    assert "exit code 3 after 2s: boom" in told(replace(SITUATION, job=failed, failures=[ENDED]))


def test_a_failed_task_shows_its_last_output() -> None:
    assert "    first\n    boom" in told(after(FAILED))


def test_a_failed_task_says_that_its_retries_are_used_up() -> None:
    record = replace(OPEN, job=replace(JOB, retry=Retry(retries=2)))
    assert "3 failures, and the job allows 2 retries" in told(
        replace(SITUATION, job=record, task=replace(ENDED, user_failures=3))
    )


def test_a_failure_that_is_never_retried_says_so() -> None:
    outcome = Outcome(Kind.IMAGE_ERROR, Charge.USER, reason="no such image")
    assert "another try cannot help" in told(after(outcome, user_failures=0))


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        pytest.param(
            Outcome(Kind.OUT_OF_MEMORY, usage=Usage(peak_memory=GIB)),
            "Its limit was 2GiB (its peak was 1GiB): raise --memory",
            id="out of memory",
        ),
        pytest.param(Outcome(Kind.TIMED_OUT), "Its time limit is 1m40s: raise --timeout", id="timed out"),
        pytest.param(Outcome(Kind.FAILED, exit_code=127), "command was not found", id="exit 127"),
        pytest.param(Outcome(Kind.FAILED, exit_code=126), "not executable", id="exit 126"),
        pytest.param(Outcome(Kind.FAILED, exit_code=137), "signal 9", id="exit 137"),
        pytest.param(Outcome(Kind.KILLED), "Something outside the task", id="killed"),
        pytest.param(Outcome(Kind.DISK_FULL), "Free disk space", id="disk full"),
    ],
)
def test_what_to_try_after_an_outcome(outcome: Outcome, advice: str) -> None:
    assert advice in told(after(outcome, memory=2 * GIB))


def test_an_ordinary_exit_code_is_not_explained_away() -> None:
    assert "advice" not in codes(after(FAILED))


def test_a_running_task_says_what_its_time_limit_leaves() -> None:
    assert "about 50s" in told(replace(SITUATION, task=RUNNING))


def test_a_running_task_whose_agent_is_silent_says_so() -> None:
    silent = replace(HOST, seen_at=NOW - SILENT_AFTER - 1)
    assert "agent_silent" in codes(replace(SITUATION, task=RUNNING, hosts=[silent]))


def test_earlier_attempts_are_told_newest_first() -> None:
    attempts = [AttemptRecord(TASK, 1, number, f"local-{number}#a", 900.0, FAILED) for number in (1, 2)]
    waiting = replace(WAITING, attempt=2, user_failures=2)
    texts = [
        reason.text
        for reason in explain(replace(SITUATION, task=waiting, attempts=attempts))
        if reason.code == "earlier_attempt"
    ]
    assert [text.split(" on ")[0] for text in texts] == ["Attempt 2", "Attempt 1"]


def test_attempts_that_ended_alike_are_told_as_one() -> None:
    attempts = [AttemptRecord(TASK, 1, number, "local-1#a", 900.0, FAILED) for number in (1, 2, 3)]
    text = told(replace(SITUATION, task=replace(WAITING, attempt=3), attempts=attempts))
    assert "So did 2 attempts before it." in text
    assert "Attempt 2" not in text


def test_a_job_whose_waiting_tasks_failed_before_says_how_and_until_when() -> None:
    task = replace(WAITING, attempt=1, outcome=FAILED, not_before=NOW + 60)
    first = explain(replace(SITUATION, retrying=[task]))[0]
    assert first.code == "backoff"
    assert "Task 4 failed: exit code 3 after 2s; its next attempt is held back for 1m more" in first.text


def test_a_start_that_the_engine_failed_is_not_blamed_on_the_job() -> None:
    outcome = Outcome(Kind.START_ERROR, Charge.INFRA, reason="no answer")
    assert "the engine's failure" in told(after(outcome))


def test_the_attempt_that_ended_a_task_is_not_told_twice() -> None:
    attempts = [AttemptRecord(TASK, 1, 1, "local-1#a", 900.0, FAILED)]
    assert "earlier_attempt" not in codes(replace(SITUATION, task=ENDED, attempts=attempts))


def test_a_fleets_channel_counts_not_its_queue() -> None:
    served = replace(HOST, queues=("default.2x8",))
    situation = replace(SITUATION, hosts=[served], channel="default.2x8")
    assert "queue_not_served" not in [reason.code for reason in explain(situation)]


def test_where_no_machine_takes_its_tasks_it_says_what_was_decided_of_them() -> None:
    machines = "large: no more machines to be had, looked at again in 5m: InsufficientInstanceCapacity"
    situation = replace(SITUATION, channel="default.16x128", machines=machines)
    (reason,) = [reason for reason in explain(situation) if reason.code == "queue_not_served"]
    assert reason.text == f"No agent serves the queue 'default'. Its machines: {machines}."
