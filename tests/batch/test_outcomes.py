"""What AWS Batch's words mean: how an attempt ended, and who pays."""

from __future__ import annotations

import pytest

from controller.adapters.batch.details import BatchAttempt, BatchJob, batch_job
from controller.adapters.batch.outcomes import never_began, outcome_of
from runner.model import Charge, Kind

EXITED = "Essential container in task exited"
STILL = "Task failed to start"
NO_INTERFACE = "Timeout waiting for network interface provisioning to complete."


def attempt(code: int | None = None, reason: str = "", said: str = EXITED) -> BatchAttempt:
    return BatchAttempt(code, reason, said, 100.0, 110.0)


@pytest.mark.parametrize(
    ("ended", "kind", "charge"),
    [
        (attempt(3), Kind.FAILED, None),
        (attempt(127), Kind.FAILED, None),
        (attempt(139), Kind.FAILED, None),
        (attempt(143), Kind.KILLED, None),
        (attempt(137), Kind.KILLED, None),
        (attempt(0), Kind.KILLED, None),
        (attempt(137, "OutOfMemoryError: Container killed due to memory usage"), Kind.OUT_OF_MEMORY, None),
        (attempt(None, "", "Host EC2 (instance i-0a1b) terminated."), Kind.LOST, None),
        (attempt(143, "", "Your Spot Task was interrupted."), Kind.INTERRUPTED, None),
        (attempt(137, "", "Job attempt duration exceeded timeout"), Kind.TIMED_OUT, None),
        (attempt(0, "", "Job attempt duration exceeded timeout"), Kind.TIMED_OUT, None),
        (attempt(None, "CannotPullContainerError: Error: image not found"), Kind.IMAGE_ERROR, None),
        (attempt(None, "CannotPullContainerError: i/o timeout"), Kind.IMAGE_ERROR, Charge.INFRA),
        (attempt(None, "CannotPullContainerError: toomanyrequests: reached"), Kind.IMAGE_ERROR, Charge.INFRA),
        (
            attempt(None, "CannotPullContainerError: write /var: no space left on device"),
            Kind.DISK_FULL,
            None,
        ),
        (attempt(None, "CannotStartContainerError: exec: no such file"), Kind.START_ERROR, None),
        (
            attempt(None, "DockerTimeoutError: Could not transition to created"),
            Kind.START_ERROR,
            Charge.INFRA,
        ),
        (attempt(127, "CannotStartContainerError: not found in $PATH", STILL), Kind.START_ERROR, None),
        (attempt(1, "CannotPullContainerError: context canceled", STILL), Kind.IMAGE_ERROR, Charge.INFRA),
        (attempt(None, "CannotPullContainerError: 503 SlowDown", STILL), Kind.IMAGE_ERROR, Charge.INFRA),
        (attempt(137, "CannotStopContainerError: failed sending SIGTERM"), Kind.KILLED, None),
        (attempt(None, "", "Host EC2 (instance i-0a1b) stopped."), Kind.LOST, None),
        (attempt(None, "OutOfMemoryError: Container killed"), Kind.OUT_OF_MEMORY, None),
        (attempt(None, "", STILL), Kind.START_ERROR, Charge.INFRA),
        (attempt(None, "", NO_INTERFACE), Kind.START_ERROR, Charge.INFRA),
        (attempt(None, "", "ResourceInitializationError: secrets"), Kind.START_ERROR, None),
        (attempt(None, "", ""), Kind.START_ERROR, None),
    ],
)
def test_an_attempt_ended_as(ended: BatchAttempt, kind: Kind, charge: Charge | None) -> None:
    outcome = outcome_of(ended)
    assert (outcome.kind, outcome.charge) == (kind, charge)
    assert outcome.reason


def test_the_programs_own_signal_is_named() -> None:
    assert outcome_of(attempt(139)).reason == "ended by signal SIGSEGV"


def test_a_success_is_one_whatever_is_said_of_it() -> None:
    assert outcome_of(attempt(0, "", "x"), succeeded=True).kind is Kind.SUCCEEDED


def test_what_we_stopped_was_cancelled_whatever_it_exits_with() -> None:
    outcome = outcome_of(attempt(0, "", "runner: no longer wanted"), cancelled="no longer wanted")
    assert (outcome.kind, outcome.reason) == (Kind.CANCELLED, "no longer wanted")


def test_what_had_run_into_its_limit_when_we_stopped_it_has_timed_out() -> None:
    ended = attempt(137, "", "Job attempt duration exceeded timeout")
    assert outcome_of(ended, cancelled="no longer wanted").kind is Kind.TIMED_OUT


def test_it_took_from_the_containers_start_to_its_end() -> None:
    assert outcome_of(attempt(3)).duration == 10.0


def test_what_the_queues_own_rules_ended_before_it_began_failed_to_start() -> None:
    said = "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    outcome = never_began(BatchJob("id", "FAILED", said, stopped_at=5.0))
    assert outcome.kind is Kind.START_ERROR
    assert said in outcome.reason


def test_what_succeeded_did_though_no_attempt_is_told_of() -> None:
    assert never_began(BatchJob("id", "SUCCEEDED", stopped_at=5.0)).kind is Kind.SUCCEEDED


def test_of_several_containers_the_tasks_own_counts() -> None:
    containers = [
        {"name": "helper", "exitCode": 9, "logStreamName": "helper/stream"},
        {"name": "default", "exitCode": 3, "logStreamName": "own/stream"},
    ]
    detail = {
        "jobId": "id",
        "status": "FAILED",
        "attempts": [
            {
                "container": {},
                "startedAt": 1000,
                "stoppedAt": 2000,
                "taskProperties": [{"containerInstanceArn": "arn", "containers": containers}],
            }
        ],
    }
    (found,) = batch_job(detail).attempts
    assert (found.exit_code, found.stream, found.instance_arn) == (3, "own/stream", "arn")


def test_an_attempt_that_still_runs_has_not_ended() -> None:
    detail = {"jobId": "id", "status": "RUNNING", "attempts": [{"container": {}, "startedAt": 1000}]}
    assert batch_job(detail).attempts == ()


def test_of_a_job_that_is_over_every_attempt_has_ended_whether_or_not_it_says_when() -> None:
    attempts = [{"container": {"reason": "CannotPullContainerError: x"}}, {"container": {"exitCode": 4}}]
    found = batch_job({"jobId": "id", "status": "FAILED", "stoppedAt": 9000, "attempts": attempts}).attempts
    assert [(each.exit_code, each.stopped_at) for each in found] == [(None, None), (4, 9.0)]


def test_an_attempt_before_another_has_ended() -> None:
    attempts = [{"container": {"exitCode": 4}}, {"container": {}, "startedAt": 1000}]
    (found,) = batch_job({"jobId": "id", "status": "RUNNING", "attempts": attempts}).attempts
    assert found.exit_code == 4


def test_why_a_job_is_over_is_why_its_last_attempt_is() -> None:
    attempts = [
        {"container": {}, "stoppedAt": 1000, "statusReason": "Host EC2 (instance i-0) terminated."},
        {"container": {"exitCode": 143}, "stoppedAt": 2000, "statusReason": EXITED},
    ]
    said = "Job attempt duration exceeded timeout"
    job = batch_job({"jobId": "id", "status": "FAILED", "statusReason": said, "attempts": attempts})
    assert [outcome_of(each).kind for each in job.attempts] == [Kind.LOST, Kind.TIMED_OUT]


def test_an_attempt_before_a_job_was_stopped_while_it_waited_keeps_its_own_reason() -> None:
    attempts = [{"container": {}, "stoppedAt": 1000, "statusReason": "Host EC2 (instance i-0) terminated."}]
    job = batch_job({"jobId": "id", "status": "FAILED", "statusReason": "too dear", "attempts": attempts})
    assert [outcome_of(each).kind for each in job.attempts] == [Kind.LOST]


def test_a_child_that_was_stopped_with_its_parent_is_known_by_its_reason_alone() -> None:
    job = batch_job({"jobId": "id:3", "status": "FAILED", "statusReason": "runner: too late"})
    assert job.by_us
