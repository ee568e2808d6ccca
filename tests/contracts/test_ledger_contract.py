"""What every ledger must do for the agents: jobs, and beginning attempts."""

from __future__ import annotations

import asyncio

import pytest

from controller.ports import Records
from runner.array import Array
from runner.model import Attempt, Charge, Limits, Status, TaskId
from runner.ports import Ledger
from runner.records import RefusalKind
from tests.contracts.acts import (
    ANNA,
    BERT,
    a_job,
    ask,
    begin,
    cancel,
    fail,
    give_back,
    refused,
    registered,
    stored,
    succeed,
)
from tests.contracts.rigs import EPOCH, Rig


async def test_a_registered_job_is_read_back_as_it_was(ledger: Ledger, records: Records) -> None:
    job = await registered(records, limits=Limits(vcpus=0.5, timeout=60.0), env={"KEY": "value"})
    assert await ledger.job(job.id) == job


async def test_there_is_no_job_that_was_not_registered(ledger: Ledger) -> None:
    assert await ledger.job("job-1") is None


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
