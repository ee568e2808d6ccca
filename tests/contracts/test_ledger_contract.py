"""What every ledger must do for the agents."""

from __future__ import annotations

import asyncio

import pytest

from controller.ports import Records
from runner.model import Array, Attempt, Charge, Kind, Limits, Retry, Status, TaskId
from runner.ports import Ledger
from runner.records import HostReport, RefusalKind, TaskRecord, Verdict
from tests.contracts.acts import (
    ANNA,
    ANNA_AGAIN,
    BERT,
    a_job,
    an_outcome,
    ask,
    begin,
    cancel,
    fail,
    give_back,
    give_up,
    refused,
    registered,
    succeed,
)
from tests.contracts.rigs import EPOCH, LEASE, Rig


async def stored(records: Records, index: int = 0) -> TaskRecord:
    record = await records.task(TaskId("job-1", index))
    assert record is not None
    return record


# --- jobs -------------------------------------------------------------------------------------------------


async def test_a_registered_job_is_read_back_as_it_was(ledger: Ledger, records: Records) -> None:
    job = await registered(records, limits=Limits(vcpus=0.5, timeout=60.0), env={"KEY": "value"})
    assert await ledger.job(job.id) == job


async def test_there_is_no_job_that_was_not_registered(ledger: Ledger) -> None:
    assert await ledger.job("job-1") is None


# --- begin ------------------------------------------------------------------------------------------------


async def test_a_first_attempt_has_number_and_tries_one(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records), index=2)
    assert attempt == Attempt(TaskId("job-1", 2), number=1, tries=1, owner=ANNA, memory=Limits().memory)


async def test_a_begun_task_runs(ledger: Ledger, records: Records) -> None:
    await begin(ledger, await registered(records))
    record = await stored(records)
    assert (record.status, record.owner, record.attempt) == (Status.RUNNING, ANNA, 1)


async def test_a_begun_task_tells_since_when(rig: Rig, ledger: Ledger, records: Records) -> None:
    await rig.advance(50.0)
    await begin(ledger, await registered(records))
    assert (await stored(records)).begun_at == pytest.approx(EPOCH + 50.0, abs=5.0)


async def test_tasks_of_a_job_begin_independently(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 3)
    assert [(await begin(ledger, job, index)).number for index in range(3)] == [1, 1, 1]


async def test_an_unknown_job_is_refused(ledger: Ledger) -> None:
    refusal = await refused(ledger, a_job())
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.UNKNOWN, None)


@pytest.mark.parametrize("index", [3, 4, 7, 10**9])
async def test_an_index_the_job_does_not_have_is_refused(
    ledger: Ledger, records: Records, index: int
) -> None:
    job = await registered(records, array=Array((range(3), range(5, 7)), total=100))
    refusal = await refused(ledger, job, index)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.UNKNOWN, None)


async def test_a_refused_index_leaves_no_record(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 3)
    await refused(ledger, job, 3)
    assert await records.task(TaskId(job.id, 3)) is None


async def test_a_finished_task_is_refused_for_good(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await succeed(ledger, await begin(ledger, job))
    refusal = await refused(ledger, job)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.FINISHED, None)


async def test_a_failed_task_is_refused_for_good(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await fail(ledger, await begin(ledger, job))
    refusal = await refused(ledger, job)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.FINISHED, None)


async def test_a_task_of_a_cancelled_job_is_refused_for_good(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await cancel(records, job)
    refusal = await refused(ledger, job)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.CANCELLED, None)


async def test_a_refusal_of_a_cancelled_job_carries_its_reason(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await cancel(records, job, "wrong input")
    assert (await refused(ledger, job)).reason == "wrong input"


async def test_a_task_of_a_job_that_waits_for_others_is_too_early(ledger: Ledger, records: Records) -> None:
    job = await registered(records, after=("job-0",))
    refusal = await refused(ledger, job)
    assert refusal.kind is RefusalKind.TOO_EARLY
    assert refusal.retry_after


async def test_a_task_in_its_backoff_is_too_early(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job), delay=60.0)
    refusal = await refused(ledger, job)
    assert refusal.kind is RefusalKind.TOO_EARLY
    assert refusal.retry_after == pytest.approx(60.0, abs=5.0)


async def test_a_task_begins_again_after_its_backoff(rig: Rig, ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job), delay=60.0)
    await rig.advance(61.0)
    assert (await begin(ledger, job)).number == 2


async def test_a_next_attempt_counts_on(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job))
    second = await begin(ledger, job, owner=BERT)
    assert (second.number, second.tries, second.owner) == (2, 2, BERT)


async def test_a_next_attempt_knows_the_failures_before_it(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    for charge in (Charge.USER, Charge.INFRA, Charge.INFRA):
        await give_back(ledger, await begin(ledger, job), charge)
    last = await begin(ledger, job)
    assert (last.user_failures, last.infra_failures) == (1, 2)


async def test_a_next_attempt_gets_the_memory_of_the_verdict(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job), memory=2 * 1024**3)
    assert (await begin(ledger, job)).memory == 2 * 1024**3


async def test_memory_once_raised_stays_raised(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job), memory=2 * 1024**3)
    await give_back(ledger, await begin(ledger, job), Charge.INFRA)
    assert (await begin(ledger, job)).memory == 2 * 1024**3


async def test_of_two_who_begin_at_once_one_is_refused(rig: Rig, ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    other = (await rig.peer()).ledger()
    both = await asyncio.gather(
        ask(ledger, job, owner=ANNA, message="message-1"), ask(other, job, owner=BERT, message="message-2")
    )
    assert sorted(type(begun).__name__ for begun in both) == ["Attempt", "Refusal"]


# --- a task that another owner has ------------------------------------------------------------------------


async def test_a_held_task_is_refused(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await begin(ledger, job, owner=ANNA)
    assert (await refused(ledger, job, owner=BERT)).kind is RefusalKind.HELD


async def test_the_message_of_a_held_task_is_hidden_for_longer_than_a_lease(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await begin(ledger, job, owner=ANNA)
    retry_after = (await refused(ledger, job, owner=BERT)).retry_after
    assert retry_after is not None
    assert LEASE < retry_after < 2 * LEASE


async def test_a_duplicate_delivered_to_the_owner_itself_is_refused(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await begin(ledger, job, owner=ANNA)
    assert (await refused(ledger, job, owner=ANNA)).kind is RefusalKind.HELD


async def test_an_earlier_incarnation_of_the_host_is_taken_over_from_at_once(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await begin(ledger, job, owner=ANNA)
    taken = await begin(ledger, job, owner=ANNA_AGAIN)
    assert (taken.number, taken.tries, taken.owner) == (2, 2, ANNA_AGAIN)


async def test_a_host_whose_name_begins_like_the_owners_takes_nothing_over(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await begin(ledger, job, owner="anna#1")
    assert (await refused(ledger, job, owner="anna-2#1")).kind is RefusalKind.HELD


async def fall_silent(rig: Rig, ledger: Ledger, records: Records, **changes: object) -> Attempt:
    """Anna has begun and is never heard of again; Bert was refused, and his message is back now."""
    job = await registered(records, **changes)  # type: ignore[arg-type]
    attempt = await begin(ledger, job, owner=ANNA)
    refusal = await refused(ledger, job, owner=BERT)
    assert refusal.retry_after is not None
    await rig.advance(refusal.retry_after)
    return attempt


async def test_a_silent_owner_is_taken_over_from(rig: Rig, ledger: Ledger, records: Records) -> None:
    await fall_silent(rig, ledger, records)
    taken = await begin(ledger, a_job(), owner=BERT)
    assert (taken.number, taken.owner) == (2, BERT)


async def test_whoever_brings_the_noted_message_may_take_over(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records)
    assert (await begin(ledger, a_job(), owner="carl#1")).owner == "carl#1"


async def test_a_message_that_was_not_refused_before_takes_nothing_over(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records)
    refusal = await refused(ledger, a_job(), owner=BERT, message="message-2")
    assert refusal.kind is RefusalKind.HELD


async def test_an_owner_that_beats_keeps_its_task(rig: Rig, ledger: Ledger, records: Records) -> None:
    attempt = await fall_silent(rig, ledger, records)
    await ledger.touch([attempt])
    assert (await refused(ledger, a_job(), owner=BERT)).kind is RefusalKind.HELD


async def test_one_beat_does_not_keep_a_task_for_ever(rig: Rig, ledger: Ledger, records: Records) -> None:
    attempt = await fall_silent(rig, ledger, records)
    await ledger.touch([attempt])
    again = await refused(ledger, a_job(), owner=BERT)
    assert again.retry_after is not None
    await rig.advance(again.retry_after)
    assert (await begin(ledger, a_job(), owner=BERT)).owner == BERT


async def test_a_message_of_a_living_owner_is_hidden_for_ten_minutes_at_most(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    attempt = await fall_silent(rig, ledger, records)
    for _ in range(10):
        await ledger.touch([attempt])
        refusal = await refused(ledger, a_job(), owner=BERT)
        assert refusal.retry_after is not None
        assert LEASE < refusal.retry_after <= 600.0
        await rig.advance(refusal.retry_after)


async def test_two_duplicates_of_a_silent_owners_task_do_not_block_each_other(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await begin(ledger, job, owner=ANNA, message="message-0")
    taken = None
    for _ in range(6):
        for message in ("message-1", "message-2"):
            begun = await ask(ledger, job, owner=BERT, message=message)
            taken = taken or (begun if isinstance(begun, Attempt) else None)
        if taken:
            break
        await rig.advance(LEASE * 1.2)
    assert taken is not None


async def test_a_silent_owners_task_is_taken_over_though_the_noted_message_is_gone(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records)
    for _ in range(5):
        begun = await ask(ledger, a_job(), owner=BERT, message="message-2")
        if isinstance(begun, Attempt):
            return
        await rig.advance(begun.retry_after or 0.0)
    pytest.fail("the task is held for ever")


async def test_taking_over_records_the_silent_attempt_as_lost(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records)
    await begin(ledger, a_job(), owner=BERT)
    (lost,) = await records.attempts(TaskId("job-1", 0))
    assert (lost.number, lost.owner, lost.outcome.kind, lost.outcome.charge) == (
        1,
        ANNA,
        Kind.LOST,
        Charge.INFRA,
    )


async def test_taking_over_is_charged_to_the_infrastructure(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records)
    taken = await begin(ledger, a_job(), owner=BERT)
    assert (taken.user_failures, taken.infra_failures) == (0, 1)


async def test_taking_over_once_too_often_is_refused_as_exhausted(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records, retry=Retry(infra_retries=0))
    refusal = await refused(ledger, a_job(retry=Retry(infra_retries=0)), owner=BERT)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.EXHAUSTED, None)


async def test_an_exhausted_task_has_failed_as_lost(rig: Rig, ledger: Ledger, records: Records) -> None:
    await fall_silent(rig, ledger, records, retry=Retry(infra_retries=0))
    await refused(ledger, a_job(retry=Retry(infra_retries=0)), owner=BERT)
    record = await stored(records)
    assert record.status is Status.FAILED
    assert record.outcome is not None
    assert record.outcome.kind is Kind.LOST
    assert "bound is 0" in record.reason


async def test_an_exhausted_task_is_counted_as_failed(rig: Rig, ledger: Ledger, records: Records) -> None:
    await fall_silent(rig, ledger, records, retry=Retry(infra_retries=0))
    await refused(ledger, a_job(retry=Retry(infra_retries=0)), owner=BERT)
    job = await records.job("job-1")
    assert job is not None
    assert (job.counts.failed, job.counts.running) == (1, 0)


async def test_the_last_infra_retry_may_still_be_used(rig: Rig, ledger: Ledger, records: Records) -> None:
    await fall_silent(rig, ledger, records, retry=Retry(infra_retries=1))
    assert (await begin(ledger, a_job(retry=Retry(infra_retries=1)), owner=BERT)).number == 2


async def test_a_running_task_of_a_cancelled_job_is_held_while_its_owner_may_live(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await begin(ledger, job, owner=ANNA)
    await cancel(records, job)
    assert (await refused(ledger, job, owner=BERT)).kind is RefusalKind.HELD


async def test_a_silent_owners_task_of_a_cancelled_job_ends_as_cancelled(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await fall_silent(rig, ledger, records)
    await cancel(records, a_job())
    refusal = await refused(ledger, a_job(), owner=BERT)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.CANCELLED, None)
    assert (await stored(records)).status is Status.CANCELLED


# --- touch, annotate, cancelled ---------------------------------------------------------------------------


async def test_touching_what_runs_returns_nothing(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    assert not await ledger.touch([await begin(ledger, job, index) for index in range(3)])


async def test_touching_nothing_is_harmless(ledger: Ledger) -> None:
    assert not await ledger.touch([])


async def test_touching_a_finished_attempt_returns_it(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    running, finished = await begin(ledger, job, 0), await begin(ledger, job, 1)
    await succeed(ledger, finished)
    assert list(await ledger.touch([running, finished])) == [finished]


async def test_touching_a_replaced_attempt_returns_it(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    assert list(await ledger.touch([old])) == [old]


async def test_a_late_beat_of_a_replaced_attempt_does_not_count_for_the_new_one(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    refusal = await refused(ledger, job, owner=BERT)
    await ledger.touch([old])
    assert refusal.retry_after is not None
    await rig.advance(refusal.retry_after)
    assert (await begin(ledger, job, owner=BERT)).number == 3


async def test_touching_an_unknown_jobs_attempt_returns_it(ledger: Ledger) -> None:
    attempt = Attempt(TaskId("nowhere", 0), 1, 1, ANNA, 1)
    assert list(await ledger.touch([attempt])) == [attempt]


async def test_metadata_is_shown_while_the_attempt_runs(ledger: Ledger, records: Records) -> None:
    await ledger.annotate(await begin(ledger, await registered(records)), {"epoch": "3"})
    assert (await stored(records)).metadata == {"epoch": "3"}


async def test_metadata_is_replaced_not_merged(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    await ledger.annotate(attempt, {"epoch": "3"})
    await ledger.annotate(attempt, {"loss": "0.1"})
    assert (await stored(records)).metadata == {"loss": "0.1"}


async def test_metadata_of_the_outcome_stands_at_last(ledger: Ledger, records: Records) -> None:
    attempt = await begin(ledger, await registered(records))
    await ledger.annotate(attempt, {"epoch": "3"})
    await succeed(ledger, attempt, metadata={"epoch": "4"})
    assert (await stored(records)).metadata == {"epoch": "4"}


async def test_a_replaced_attempt_cannot_annotate(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    old = await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    await ledger.annotate(old, {"epoch": "3"})
    assert (await stored(records)).metadata == {}


async def test_a_next_attempt_starts_without_metadata(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await ledger.annotate(attempt, {"epoch": "3"})
    await give_back(ledger, attempt)
    await begin(ledger, job)
    assert (await stored(records)).metadata == {}


async def test_a_job_that_runs_is_not_among_the_cancelled(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    assert not await ledger.cancelled([job.id])


async def test_a_cancelled_job_is_among_the_cancelled(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await registered(records, id="job-2")
    await cancel(records, job)
    assert set(await ledger.cancelled(["job-1", "job-2", "unknown"])) == {"job-1"}


# --- finish -----------------------------------------------------------------------------------------------


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


# --- hosts and supervision --------------------------------------------------------------------------------


def a_report(host: str = "anna", seen_at: float = EPOCH, **changes: object) -> HostReport:
    values = {
        "host": host,
        "incarnation": "1",
        "state": "running",
        "vcpus": 2.0,
        "memory": 1024,
        "free_vcpus": 1.5,
        "free_memory": 512,
        "tasks": 1,
        "engines": ("docker", "process"),
        "queues": ("default",),
        "pid": 42,
        "started_at": EPOCH - 100,
        "seen_at": seen_at,
    }
    return HostReport(**{**values, **changes})  # type: ignore[arg-type]


async def test_a_host_that_reported_is_listed_as_it_said(ledger: Ledger, records: Records) -> None:
    await ledger.report(a_report(note="disk low"))
    assert list(await records.hosts()) == [a_report(note="disk low")]


async def test_a_hosts_new_report_replaces_its_old(ledger: Ledger, records: Records) -> None:
    await ledger.report(a_report(tasks=1))
    await ledger.report(a_report(tasks=2))
    assert [host.tasks for host in await records.hosts()] == [2]


async def test_hosts_are_listed_last_seen_first(ledger: Ledger, records: Records) -> None:
    for number, name in enumerate(("anna", "bert", "carl")):
        await ledger.report(a_report(name, EPOCH + number))
    assert [host.host for host in await records.hosts()] == ["carl", "bert", "anna"]


async def test_a_retired_host_is_not_listed(ledger: Ledger, records: Records) -> None:
    await ledger.report(a_report())
    await ledger.report(a_report(state="retired"))
    assert not await records.hosts()


async def test_an_old_incarnation_retiring_late_does_not_hide_the_new(
    ledger: Ledger, records: Records
) -> None:
    await ledger.report(a_report(incarnation="1"))
    await ledger.report(a_report(incarnation="2"))
    await ledger.report(a_report(incarnation="1", state="retired"))
    assert [host.incarnation for host in await records.hosts()] == ["2"]


async def test_without_a_leader_nobody_supervises(ledger: Ledger) -> None:
    supervision = await ledger.supervision()
    assert (supervision.led, supervision.demand) == (False, 0)


async def test_agents_learn_the_demand_that_the_leader_publishes(ledger: Ledger, records: Records) -> None:
    await records.lead("one", 60.0)
    await records.publish("one", 17)
    supervision = await ledger.supervision()
    assert (supervision.led, supervision.demand) == (True, 17)


async def test_agents_learn_that_the_leader_is_gone(rig: Rig, ledger: Ledger, records: Records) -> None:
    await records.lead("one", 60.0)
    await rig.advance(61.0)
    assert not (await ledger.supervision()).led
