"""What the jobs a job comes after make of it."""

from __future__ import annotations

import pytest

from controller.dependencies import resolve
from runner.array import Array
from runner.model import Job, Status
from runner.records import Counts, Ending, JobRecord


def a_record(
    name: str, counts: Counts, ending: Ending | None = None, after: tuple[str, ...] = ()
) -> JobRecord:
    job = Job(name, name, ("x",), Array.of_size(counts.size), after=after)
    return JobRecord(job, counts, released_at=1.0, ending=ending)


SUCCEEDED = a_record("good", Counts(succeeded=2))
RUNNING = a_record("busy", Counts(running=1, succeeded=1))
FAILED = a_record("bad", Counts(succeeded=1, failed=1))
CANCELLED = a_record("gone", Counts(cancelled=2), Ending(Status.CANCELLED, "by hand", 1.0))
PARENTS = {record.job.id: record for record in (SUCCEEDED, RUNNING, FAILED, CANCELLED)}


def child(*after: str) -> JobRecord:
    return a_record("child", Counts(pending=1), after=after)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param((), True, id="a job that comes after nothing may run"),
        pytest.param(("good",), True, id="or after successes"),
        pytest.param(("good", "busy"), False, id="one that comes after a running job waits"),
    ],
)
def test_whether_a_job_may_run(after: tuple[str, ...], expected: bool) -> None:
    assert resolve(child(*after), PARENTS, 5.0) is expected


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (("busy", "bad"), "bad (bad) failed: 1 of 2 tasks did"),
        (("gone",), "gone (gone) was cancelled"),
        (("nobody",), "the job it comes after, nobody, is unknown"),
    ],
)
def test_a_job_that_cannot_succeed_ends_at_once_with_the_reason(after: tuple[str, ...], reason: str) -> None:
    assert resolve(child(*after), PARENTS, 5.0) == Ending(Status.FAILED, reason, 5.0)


def test_a_grandparents_failure_is_told_on() -> None:
    failed = a_record(
        "mid", Counts(cancelled=1), Ending(Status.FAILED, "bad (bad) failed: 1 of 2 tasks did", 1.0)
    )
    result = resolve(child("mid"), {"mid": failed}, 5.0)
    assert isinstance(result, Ending)
    assert result.reason == "mid (mid) failed: bad (bad) failed: 1 of 2 tasks did"
