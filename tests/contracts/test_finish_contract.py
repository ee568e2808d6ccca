"""What every ledger must do when an attempt ends."""

from __future__ import annotations

import pytest

from controller.ports import Records
from runner.model import Attempt, Charge, Kind, Status, TaskId
from runner.ports import Ledger
from runner.records import Verdict
from tests.contracts.acts import (
    ANNA,
    ANNA_AGAIN,
    BERT,
    an_outcome,
    begin,
    cancel,
    fail,
    give_back,
    give_up,
    registered,
    stored,
    succeed,
)
from tests.contracts.rigs import EPOCH


async def test_a_success_is_recorded(ledger: Ledger, records: Records) -> None:
    outcome = an_outcome(image_digest="sha256:abc", log_bytes=17, log_dropped=3, warning="careful")
    attempt = await begin(ledger, await registered(records))
    assert await ledger.finish(attempt, outcome, Verdict(Status.SUCCEEDED))
    record = await stored(records)
    assert (record.status, record.outcome) == (Status.SUCCEEDED, outcome)


async def test_a_failure_is_recorded_with_its_last_lines(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    await fail(ledger, attempt, tail=("one", "two \x1b[31m", "\udcff\x00"))
    record = await stored(records)
    assert record.status is Status.FAILED
    assert record.outcome is not None
    assert record.outcome.tail == ("one", "two \x1b[31m", "\udcff\x00")


async def test_a_failures_reason_is_the_verdicts(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    outcome = an_outcome(Kind.FAILED, reason="exit code 3")
    await ledger.finish(attempt, outcome, Verdict(Status.FAILED, Charge.USER, reason="not retried, by rule"))
    assert (await stored(records)).reason == "not retried, by rule"


async def test_a_failures_reason_is_the_outcomes_if_the_verdict_has_none(
    ledger: Ledger, records: Records
) -> None:
    attempt = await begin(ledger, await registered(records))
    outcome = an_outcome(Kind.FAILED, reason="exit code 3")
    await ledger.finish(attempt, outcome, Verdict(Status.FAILED, Charge.USER))
    assert (await stored(records)).reason == "exit code 3"


async def test_a_reason_of_stray_bytes_does_not_prevent_the_record(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    assert await fail(ledger, attempt, reason="bad \udcff byte")
    assert (await stored(records)).reason.startswith("bad ")


async def test_a_task_to_be_retried_is_runnable_and_keeps_its_last_outcome(
    ledger: Ledger, records: Records
) -> None:
    await give_back(ledger, await begin(ledger, await registered(records)), delay=60.0)
    record = await stored(records)
    assert record.status is Status.RUNNABLE
    assert record.not_before == pytest.approx(EPOCH + 60.0, abs=5.0)
    assert record.outcome is not None
    assert record.outcome.kind is Kind.FAILED


async def test_a_running_retry_does_not_show_the_outcome_before_it(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job))
    await begin(ledger, job)
    record = await stored(records)
    assert (record.status, record.outcome, record.not_before) == (Status.RUNNING, None, None)


async def test_every_attempt_is_kept(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job), exit_code=5)
    await give_back(ledger, await begin(ledger, job, owner=BERT), Charge.INFRA)
    await succeed(ledger, await begin(ledger, job))
    attempts = await records.attempts(TaskId(job.id, 0))
    assert [(a.number, a.owner, a.outcome.kind) for a in attempts] == [
        (1, ANNA, Kind.FAILED),
        (2, BERT, Kind.INTERRUPTED),
        (3, ANNA, Kind.SUCCEEDED),
    ]


async def test_an_attempt_that_runs_is_not_among_the_ended(ledger: Ledger, records: Records) -> None:
    await begin(ledger, await registered(records))
    assert not await records.attempts(TaskId("job-1", 0))


async def test_finishing_twice_alike_is_one_record_and_both_times_right(
    ledger: Ledger, records: Records
) -> None:
    attempt = await begin(ledger, await registered(records))
    assert [await succeed(ledger, attempt), await succeed(ledger, attempt)] == [True, True]
    job = await records.job("job-1")
    assert job is not None
    assert job.counts.succeeded == 1


async def test_giving_back_twice_alike_is_counted_once(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    assert [await give_back(ledger, attempt), await give_back(ledger, attempt)] == [True, True]
    assert (await begin(ledger, job)).user_failures == 1


async def test_a_repeated_finish_is_recognised_after_the_next_attempt_began(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    first = await begin(ledger, job)
    await give_back(ledger, first)
    await begin(ledger, job)
    assert await give_back(ledger, first)
    assert (await stored(records)).status is Status.RUNNING


async def test_a_finished_attempt_cannot_be_finished_otherwise(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    await succeed(ledger, attempt)
    assert not await fail(ledger, attempt)
    assert (await stored(records)).status is Status.SUCCEEDED


async def test_a_replaced_attempt_cannot_finish(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    assert not await succeed(ledger, old)
    assert (await stored(records)).status is Status.RUNNING


async def test_a_late_attempt_leaves_the_newer_result_alone(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await succeed(ledger, await begin(ledger, job, owner=ANNA_AGAIN))
    assert not await fail(ledger, old)
    assert (await stored(records)).status is Status.SUCCEEDED


async def test_an_unknown_jobs_attempt_cannot_finish(ledger: Ledger) -> None:
    assert not await succeed(ledger, Attempt(TaskId("nowhere", 0), 1, 1, ANNA, 1))


async def test_an_attempt_that_notices_the_cancel_ends_as_cancelled(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job)
    assert await give_up(ledger, attempt)
    assert (await stored(records)).status is Status.CANCELLED


async def test_a_success_just_before_the_cancel_was_noticed_stands(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job)
    assert await succeed(ledger, attempt)
    assert (await stored(records)).status is Status.SUCCEEDED


async def test_a_task_of_a_cancelled_job_is_not_retried(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job, "wrong input")
    assert await give_back(ledger, attempt)
    record = await stored(records)
    assert (record.status, record.reason) == (Status.CANCELLED, "wrong input")


async def test_a_finish_on_a_cancelled_job_is_recognised_when_repeated(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job)
    assert [await give_back(ledger, attempt), await give_back(ledger, attempt)] == [True, True]
