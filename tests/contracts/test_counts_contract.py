"""What every ledger must know of a job as a whole, and how one is released and ended."""

from __future__ import annotations

import asyncio

import pytest

from controller.ports import Records
from runner.model import Status, TaskId, Usage
from runner.ports import Ledger
from runner.records import Counts, Ending
from tests.contracts.acts import begin, cancel, fail, give_back, give_up, read, registered, succeed
from tests.contracts.rigs import EPOCH, Rig


async def test_counts_follow_the_tasks(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 6)
    await succeed(ledger, await begin(ledger, job, 0))
    await fail(ledger, await begin(ledger, job, 1))
    await give_back(ledger, await begin(ledger, job, 2))
    await begin(ledger, job, 3)
    assert (await read(records)).counts == Counts(runnable=3, running=1, succeeded=1, failed=1)


async def test_the_tasks_of_a_cancelled_job_that_never_began_count_as_cancelled(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 6)
    await succeed(ledger, await begin(ledger, job, 0))
    await give_back(ledger, await begin(ledger, job, 1))
    await begin(ledger, job, 2)
    await cancel(records, job)
    assert (await read(records)).counts == Counts(running=1, succeeded=1, cancelled=4)


async def test_a_job_has_succeeded_when_all_its_tasks_have(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 2)
    for index in range(2):
        await succeed(ledger, await begin(ledger, job, index))
    assert (await read(records)).status is Status.SUCCEEDED


async def test_a_job_has_failed_when_all_are_done_and_one_failed(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 2)
    await fail(ledger, await begin(ledger, job, 0))
    running = (await read(records)).status
    await succeed(ledger, await begin(ledger, job, 1))
    assert (running, (await read(records)).status) == (Status.RUNNING, Status.FAILED)


async def test_a_job_sums_up_what_its_attempts_used(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 2)
    used = {"started_at": EPOCH + 5, "finished_at": EPOCH + 9}
    await give_back(ledger, await begin(ledger, job, 0), usage=Usage(700, 1.5), **used)  # type: ignore[arg-type]
    await succeed(ledger, await begin(ledger, job, 0), usage=Usage(500, 0.25), **used)
    await succeed(ledger, await begin(ledger, job, 1), usage=Usage(None, None), **used)
    record = await read(records)
    assert (record.task_seconds, record.cpu_seconds, record.peak_memory) == (12.0, 1.75, 700)


async def test_a_job_without_measurements_has_no_peak_memory(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await succeed(ledger, await begin(ledger, job), usage=Usage())
    assert (await read(records)).peak_memory is None


async def test_a_job_tells_its_first_start_and_last_end(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 2)
    for index, (start, end) in enumerate([(20, 25), (10, 15)]):
        attempt = await begin(ledger, job, index)
        await succeed(ledger, attempt, started_at=EPOCH + start, finished_at=EPOCH + end)
    record = await read(records)
    assert (record.first_started_at, record.last_finished_at) == (EPOCH + 10, EPOCH + 25)


async def test_a_job_has_started_once_a_task_runs(rig: Rig, ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    await rig.advance(7.0)
    await begin(ledger, job)
    assert (await read(records)).first_started_at == pytest.approx(EPOCH + 7, abs=5.0)


async def test_an_attempt_that_never_started_does_not_spoil_the_sums(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 1)
    await fail(ledger, await begin(ledger, job), started_at=None, finished_at=None, usage=Usage())
    record = await read(records)
    assert (record.task_seconds, record.cpu_seconds, record.peak_memory) == (0.0, 0.0, None)


async def test_finishes_from_two_processes_all_count(rig: Rig, ledger: Ledger, records: Records) -> None:
    other = (await rig.peer()).ledger()
    job = await registered(records, 40)

    async def run(of: Ledger, indices: range) -> None:
        for index in indices:
            await succeed(of, await begin(of, job, index))

    await asyncio.gather(run(ledger, range(20)), run(other, range(20, 40)))
    record = await read(records)
    assert (record.counts.succeeded, record.task_seconds) == (40, 80.0)


async def test_a_released_job_may_run(ledger: Ledger, records: Records) -> None:
    job = await registered(records, after=("job-0",))
    await records.release(job.id, EPOCH + 5)
    record = await read(records)
    assert (record.released_at, record.counts) == (EPOCH + 5, Counts(runnable=3))
    assert (await begin(ledger, job)).number == 1


async def test_a_job_is_released_once(records: Records) -> None:
    job = await registered(records, after=("job-0",))
    await records.release(job.id, EPOCH + 5)
    await records.release(job.id, EPOCH + 9)
    assert (await read(records)).released_at == EPOCH + 5


async def test_a_job_that_ended_is_not_released(records: Records) -> None:
    job = await registered(records, after=("job-0",))
    await cancel(records, job)
    await records.release(job.id, EPOCH + 5)
    assert (await read(records)).status is Status.CANCELLED


async def test_an_ended_job_says_why(records: Records) -> None:
    await registered(records)
    ending = Ending(Status.CANCELLED, "no longer \udcff wanted", EPOCH + 10)
    assert await records.end("job-1", ending)
    found = (await read(records)).ending
    assert found is not None
    assert (found.status, found.at) == (Status.CANCELLED, EPOCH + 10)
    assert found.reason.startswith("no longer ")


async def test_a_job_whose_parent_failed_ends_as_failed(records: Records) -> None:
    job = await registered(records, after=("job-0",))
    await records.end(job.id, Ending(Status.FAILED, "job-0 failed", EPOCH + 10))
    record = await read(records)
    assert (record.status, record.counts) == (Status.FAILED, Counts(cancelled=3))


async def test_a_job_ends_once(records: Records) -> None:
    job = await registered(records)
    assert [await cancel(records, job, "first"), await cancel(records, job, "second")] == [True, False]
    ending = (await read(records)).ending
    assert ending is not None
    assert ending.reason == "first"


async def test_a_job_that_is_over_cannot_be_ended(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await succeed(ledger, await begin(ledger, job))
    assert not await cancel(records, job)
    assert (await read(records)).status is Status.SUCCEEDED


async def test_an_unknown_job_cannot_be_ended(records: Records) -> None:
    assert not await records.end("nowhere", Ending(Status.CANCELLED, "", EPOCH))


async def test_waiting_tasks_of_an_ended_job_are_cancelled_with_its_reason(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records)
    await give_back(ledger, await begin(ledger, job), delay=60.0)
    await cancel(records, job, "wrong input")
    record = await records.task(TaskId(job.id, 0))
    assert record is not None
    assert (record.status, record.reason, record.not_before) == (Status.CANCELLED, "wrong input", None)


async def test_a_job_is_cancelled_when_its_last_running_task_ended(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job)
    during = (await read(records)).status
    await give_up(ledger, attempt)
    assert (during.terminal, (await read(records)).status) == (False, Status.CANCELLED)
