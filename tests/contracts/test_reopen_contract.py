"""What every ledger must do to open a new round."""

from __future__ import annotations

import pytest

from controller.ports import Records
from runner.model import Attempt, Charge, Kind, Status, TaskId
from runner.ports import Ledger
from runner.records import Counts, RefusalKind
from tests.contracts.acts import (
    ANNA,
    ANNA_AGAIN,
    BERT,
    a_job,
    begin,
    cancel,
    fail,
    give_back,
    give_up,
    read,
    refused,
    registered,
    send_all,
    stored,
    succeed,
)
from tests.contracts.rigs import EPOCH


async def one_of_each(ledger: Ledger, records: Records, size: int = 6, sent: int = 6) -> None:
    """0 succeeded, 1 failed, 2 to be retried, the others never begun."""
    job = await registered(records, size)
    await send_all(records, job, sent)
    await succeed(ledger, await begin(ledger, job, 0))
    await fail(ledger, await begin(ledger, job, 1))
    await give_back(ledger, await begin(ledger, job, 2))


async def test_reopening_says_how_many_tasks(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records)
    assert await records.reopen("job-1", EPOCH + 50) == 1


async def test_reopening_a_cancelled_job_reopens_all_that_did_not_succeed(
    ledger: Ledger, records: Records
) -> None:
    await one_of_each(ledger, records)
    await cancel(records, a_job())
    assert await records.reopen("job-1", EPOCH + 50) == 5
    assert (await read(records)).counts == Counts(runnable=5, succeeded=1)


async def test_reopening_a_success_changes_nothing(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await succeed(ledger, await begin(ledger, job))
    before = await read(records)
    assert await records.reopen(job.id, EPOCH + 50) == 0
    assert await read(records) == before


async def test_reopening_an_unknown_job_changes_nothing(records: Records) -> None:
    assert await records.reopen("nowhere", EPOCH) == 0


async def test_each_reopening_is_a_new_round(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    for _ in range(2):
        await fail(ledger, await begin(ledger, job))
        await records.reopen(job.id, EPOCH + 50)
    assert (await read(records)).round == 3


async def test_reopening_lifts_the_ending(records: Records) -> None:
    job = await registered(records)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    record = await read(records)
    assert (record.ending, record.status) == (None, Status.RUNNABLE)


async def test_a_reopened_job_waits_for_its_parents_anew(records: Records) -> None:
    job = await registered(records, after=("job-0",))
    await records.release(job.id, EPOCH + 5)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    record = await read(records)
    assert (record.released_at, record.status, record.counts) == (None, Status.PENDING, Counts(pending=3))


async def test_a_reopened_job_without_parents_need_not_wait(records: Records) -> None:
    job = await registered(records)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    assert (await read(records)).released_at == EPOCH + 50


async def test_a_reopened_task_of_a_waiting_job_is_pending(ledger: Ledger, records: Records) -> None:
    job = await registered(records, after=("job-0",))
    await records.release(job.id, EPOCH + 5)
    await fail(ledger, await begin(ledger, job))
    await records.reopen(job.id, EPOCH + 50)
    pending = await records.tasks(job.id, statuses={Status.PENDING})
    assert [record.task.index for record in pending] == [0]
    assert not await records.tasks(job.id, statuses={Status.RUNNABLE})


async def test_attempt_numbers_go_on_and_tries_start_anew(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await give_back(ledger, await begin(ledger, job))
    await fail(ledger, await begin(ledger, job))
    await records.reopen(job.id, EPOCH + 50)
    attempt = await begin(ledger, job)
    assert (attempt.number, attempt.tries) == (3, 1)


async def test_failures_are_forgiven_in_a_new_round(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await give_back(ledger, await begin(ledger, job), Charge.INFRA)
    await fail(ledger, await begin(ledger, job))
    await records.reopen(job.id, EPOCH + 50)
    attempt = await begin(ledger, job)
    assert (attempt.user_failures, attempt.infra_failures) == (0, 0)


async def test_a_reopened_task_shows_no_outcome_yet(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await fail(ledger, await begin(ledger, job), reason="broken")
    await records.reopen(job.id, EPOCH + 50)
    record = await records.task(TaskId(job.id, 0))
    assert record is not None
    assert (record.status, record.outcome, record.reason, record.round) == (Status.RUNNABLE, None, "", 2)


async def test_the_records_of_earlier_rounds_stay_as_history(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await give_back(ledger, await begin(ledger, job))
    await fail(ledger, await begin(ledger, job, owner=BERT))
    await records.reopen(job.id, EPOCH + 50)
    await succeed(ledger, await begin(ledger, job))
    attempts = await records.attempts(TaskId(job.id, 0))
    assert [(a.round, a.number, a.outcome.kind) for a in attempts] == [
        (1, 1, Kind.FAILED),
        (1, 2, Kind.FAILED),
        (2, 3, Kind.SUCCEEDED),
    ]


async def test_history_is_there_before_the_new_round_began(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await fail(ledger, await begin(ledger, job))
    await records.reopen(job.id, EPOCH + 50)
    assert [a.number for a in await records.attempts(TaskId(job.id, 0))] == [1]


async def test_an_attempt_of_an_earlier_round_cannot_finish(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    old = await begin(ledger, job, owner=ANNA)
    await fail(ledger, await begin(ledger, job, owner=ANNA_AGAIN))
    await records.reopen(job.id, EPOCH + 50)
    assert not await succeed(ledger, old)
    assert (await read(records)).counts == Counts(runnable=1)


async def test_a_finish_of_an_earlier_round_is_recognised_when_repeated(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 1)
    attempt = await begin(ledger, job)
    await fail(ledger, attempt)
    await records.reopen(job.id, EPOCH + 50)
    assert await fail(ledger, attempt)
    assert (await read(records)).counts == Counts(runnable=1)


async def test_only_what_was_reopened_is_sent_again(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records)
    await records.reopen("job-1", EPOCH + 50)
    assert (await records.unsent("job-1", 100)).indices == (1,)


async def test_reopened_tasks_are_sent_before_new_ones(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records, size=9, sent=6)
    await records.reopen("job-1", EPOCH + 50)
    assert [await send_all(records, a_job(), 2) for _ in range(3)] == [(1, 6), (7, 8), ()]


async def test_after_a_cancel_all_that_had_been_sent_and_did_not_succeed_is_sent_again(
    ledger: Ledger, records: Records
) -> None:
    await one_of_each(ledger, records, size=9, sent=6)
    await cancel(records, a_job())
    await records.reopen("job-1", EPOCH + 50)
    windows = [await send_all(records, a_job(), 3) for _ in range(4)]
    assert windows == [(1, 2, 3), (4, 5, 6), (7, 8), ()]


async def test_a_crash_while_sending_again_repeats_one_window_only(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records, size=9, sent=6)
    await cancel(records, a_job())
    await records.reopen("job-1", EPOCH + 50)
    await send_all(records, a_job(), 3)
    repeated = await records.unsent("job-1", 5)
    assert (await records.unsent("job-1", 5)).indices == repeated.indices == (4, 5)


async def test_what_is_to_be_sent_again_is_not_queued(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records, size=9, sent=6)
    await cancel(records, a_job())
    await records.reopen("job-1", EPOCH + 50)
    counted = [(await read(records)).queued]
    while await send_all(records, a_job(), 3):
        counted.append((await read(records)).queued)
    assert counted == [0, 3, 6, 8]


async def test_what_is_to_be_sent_again_is_not_outstanding(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records, size=9, sent=6)
    await cancel(records, a_job())
    await records.reopen("job-1", EPOCH + 50)
    found = [list(await records.outstanding("job-1", 100))]
    while await send_all(records, a_job(), 3):
        found.append(list(await records.outstanding("job-1", 100)))
    assert found == [[], [1, 2, 3], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize("index", [1, 4])
async def test_a_reopened_task_begun_by_an_old_message_is_queued_once(
    ledger: Ledger, records: Records, index: int
) -> None:
    await one_of_each(ledger, records, size=6, sent=6)
    await cancel(records, a_job())
    await records.reopen("job-1", EPOCH + 50)
    await begin(ledger, a_job(6), index)
    early = (await read(records)).queued
    while await send_all(records, a_job(), 2):
        pass
    assert (early, (await read(records)).queued) == (1, 5)


async def test_a_task_begun_before_the_cursor_moved_is_queued_once(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 4)
    window = await records.unsent(job.id, 4)
    await begin(ledger, job, 0)
    await succeed(ledger, await begin(ledger, job, 1))
    await records.sent(job.id, window)
    assert (await read(records)).queued == 3


async def test_a_window_of_an_earlier_round_says_nothing_about_this_one(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 5)
    old = await records.unsent(job.id, 3)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    await records.sent(job.id, old)
    assert (await records.unsent(job.id, 100)).indices == (0, 1, 2, 3, 4)


async def test_a_cancel_between_windows_loses_nothing(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records, size=9, sent=6)
    for _ in range(2):
        await cancel(records, a_job())
        await records.reopen("job-1", EPOCH + 50)
        await send_all(records, a_job(), 2)
    sent = set(await records.outstanding("job-1", 100))
    while window := await send_all(records, a_job(), 100):
        sent |= set(window)
    assert sent == set(range(1, 9))


async def test_a_reopened_job_runs_to_its_end(ledger: Ledger, records: Records) -> None:
    await one_of_each(ledger, records)
    await cancel(records, a_job())
    await records.reopen("job-1", EPOCH + 50)
    for index in await send_all(records, a_job()):
        await succeed(ledger, await begin(ledger, a_job(6), index))
    record = await read(records)
    assert (record.status, record.counts, record.queued) == (Status.SUCCEEDED, Counts(succeeded=6), 0)


async def test_reopening_a_running_job_leaves_what_runs(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 3)
    running = await begin(ledger, job, 0)
    await fail(ledger, await begin(ledger, job, 1))
    await records.reopen(job.id, EPOCH + 50)
    assert await succeed(ledger, running)
    assert (await read(records)).counts == Counts(runnable=2, succeeded=1)


async def test_a_cancelled_job_of_which_all_that_is_left_runs_is_reopened_as_well(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 2)
    await succeed(ledger, await begin(ledger, job, 0))
    running = await begin(ledger, job, 1)
    await cancel(records, job)
    assert await records.reopen(job.id, EPOCH + 50) == 1
    await give_up(ledger, running)
    assert (await read(records)).counts == Counts(runnable=1, succeeded=1)
    assert await succeed(ledger, await begin(ledger, job, 1))
    assert (await read(records)).status is Status.SUCCEEDED


async def lifted_too_late(ledger: Ledger, records: Records) -> Attempt:
    """A job of three was cancelled and opened again; what ran meanwhile is only now stopped by the cancel."""
    job = await registered(records, 3)
    await send_all(records, job)
    await give_back(ledger, await begin(ledger, job, 0))
    running = await begin(ledger, job, 0)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    await send_all(records, job)
    assert await give_up(ledger, running)
    return running


async def test_a_task_stopped_by_a_cancel_that_was_lifted_meanwhile_runs_again(
    ledger: Ledger, records: Records
) -> None:
    await lifted_too_late(ledger, records)
    assert (await stored(records)).status is Status.RUNNABLE
    assert (await read(records)).counts == Counts(runnable=3)
    assert await send_all(records, a_job()) == (0,)
    again = await begin(ledger, a_job())
    assert (again.number, again.tries, again.user_failures) == (3, 1, 0)
    assert await succeed(ledger, again)


async def test_such_a_task_is_neither_queued_nor_outstanding_until_it_is_sent_again(
    ledger: Ledger, records: Records
) -> None:
    await lifted_too_late(ledger, records)
    assert (await read(records)).queued == 2
    assert list(await records.outstanding("job-1", 100)) == [1, 2]


async def test_the_attempt_that_such_a_cancel_stopped_is_history_and_its_finish_idempotent(
    ledger: Ledger, records: Records
) -> None:
    running = await lifted_too_late(ledger, records)
    assert await give_up(ledger, running)
    assert (await read(records)).queued == 2
    attempts = await records.attempts(TaskId("job-1", 0))
    assert [(each.number, each.round) for each in attempts] == [(1, 1), (2, 1)]


async def test_an_old_message_of_a_cancelled_round_is_still_refused_when_the_task_is_done(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 1)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    await succeed(ledger, await begin(ledger, job, message="new"))
    assert (await refused(ledger, job, message="old")).kind is RefusalKind.FINISHED
