"""What every ledger must do about a task that another owner has."""

from __future__ import annotations

import pytest

from controller.ports import Records
from runner.model import Attempt, Charge, Kind, Retry, Status, TaskId
from runner.ports import Ledger
from runner.records import RefusalKind
from tests.contracts.acts import (
    ANNA,
    ANNA_AGAIN,
    BERT,
    a_job,
    ask,
    begin,
    cancel,
    give_back,
    refused,
    registered,
    stored,
)
from tests.contracts.rigs import LEASE, Rig


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


async def test_the_record_of_a_lost_attempt_tells_the_memory_it_had_been_given(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job, owner=ANNA), memory=2 * 1024**3)
    await begin(ledger, job, owner=ANNA)
    await begin(ledger, job, owner=ANNA_AGAIN)
    assert [ended.outcome.memory for ended in await records.attempts(TaskId(job.id, 0))] == [
        None,
        2 * 1024**3,
    ]


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
