"""What is shown of records."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from controller.report import (
    count_of,
    finished_at,
    host_of,
    job_duration,
    job_object,
    last_line,
    outcome_object,
    task_object,
    task_reason,
)
from runner.array import Array
from runner.model import Job, Kind, Outcome, Status, TaskId
from runner.records import Counts, Ending, JobRecord, TaskRecord

JOB = Job("j", "name", ("echo", "\x1b[31m"), Array.of_size(4), after=("p",), created_at=1.0)
RUNNING = JobRecord(
    JOB, Counts(runnable=1, running=1, succeeded=1, failed=1), released_at=2.0, first_started_at=10.0
)
SUCCEEDED = replace(RUNNING, counts=Counts(succeeded=4), last_finished_at=30.0)
CANCELLED = replace(
    RUNNING, counts=Counts(cancelled=4), ending=Ending(Status.CANCELLED, "why", 25.0), last_finished_at=20.0
)
TASK = TaskRecord(TaskId("j", 2), Status.FAILED, attempt=1, owner="host-7#abc", outcome=Outcome(Kind.FAILED))


@pytest.mark.parametrize(
    ("record", "duration"),
    [
        pytest.param(RUNNING, 90.0, id="a running job's goes on"),
        pytest.param(SUCCEEDED, 20.0, id="from the first start to the last end"),
        pytest.param(CANCELLED, 15.0, id="until it was cancelled"),
        pytest.param(replace(RUNNING, first_started_at=None), None, id="none before anything started"),
    ],
)
def test_a_jobs_duration(record: JobRecord, duration: float | None) -> None:
    assert job_duration(record, 100.0) == duration


@pytest.mark.parametrize(
    ("record", "at"),
    [
        pytest.param(RUNNING, None, id="not yet"),
        pytest.param(SUCCEEDED, 30.0, id="with its last task"),
        pytest.param(CANCELLED, 25.0, id="when it was cancelled"),
    ],
)
def test_when_a_job_ended(record: JobRecord, at: float | None) -> None:
    assert finished_at(record) == at


def test_a_jobs_object_is_json_as_it_stands() -> None:
    shown = job_object(RUNNING, 100.0)
    assert json.loads(json.dumps(shown)) == shown


def test_a_jobs_object_says_why_it_ended_early() -> None:
    assert job_object(CANCELLED, 100.0)["reason"] == "why"


def test_a_jobs_counts_add_up_to_its_size() -> None:
    shown = job_object(RUNNING, 100.0)
    assert sum(shown["counts"].values()) == shown["size"] == 4  # type: ignore[attr-defined]


def test_a_tasks_object_is_json_as_it_stands() -> None:
    shown = task_object(TASK, "name", "an item")
    assert json.loads(json.dumps(shown)) == shown


def test_a_task_that_never_began_has_no_outcome() -> None:
    assert task_object(TaskRecord(TaskId("j", 2), Status.RUNNABLE), "name")["outcome"] is None


def test_the_host_is_shown_without_its_incarnation() -> None:
    assert (host_of("host-7#abc"), host_of(None)) == ("host-7", None)


def test_an_outcomes_duration_is_worked_out() -> None:
    shown = outcome_object(Outcome(Kind.SUCCEEDED, started_at=1.0, finished_at=3.5))
    assert shown["duration"] == 2.5


def test_the_ledgers_reason_goes_before_the_outcomes() -> None:
    task = replace(TASK, outcome=Outcome(Kind.LOST, reason="silent"), reason="lost 11 times")
    assert task_reason(task) == "lost 11 times"


@pytest.mark.parametrize(
    ("lines", "last"),
    [(("a", "b", " ", ""), "b"), ((), ""), (("", " "), "")],
    ids=["the last with anything in it", "of nothing", "of blank lines"],
)
def test_the_last_line(lines: tuple[str, ...], last: str) -> None:
    assert last_line(lines) == last


def test_tasks_are_counted_by_status() -> None:
    assert count_of(RUNNING.counts, [Status.RUNNING, Status.FAILED, Status.FAILED]) == 2
