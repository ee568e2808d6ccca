"""What every ledger must do for the controller."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from controller.ports import Records
from runner.errors import Conflict
from runner.model import (
    Array,
    Charge,
    Kind,
    Limits,
    Mount,
    Retry,
    Rule,
    Secret,
    Sidecar,
    Status,
    TaskId,
    Usage,
)
from runner.ports import Ledger
from runner.records import Counts, Ending, JobRecord, RefusalKind, Window
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
    refused,
    registered,
    send_all,
    succeed,
)
from tests.contracts.rigs import EPOCH, Rig


async def read(records: Records, job_id: str = "job-1") -> JobRecord:
    record = await records.job(job_id)
    assert record is not None
    return record


# --- register ---------------------------------------------------------------------------------------------


async def test_a_new_job_is_stored(records: Records) -> None:
    record, created = await records.register(a_job(3))
    assert created
    assert record == JobRecord(a_job(3), Counts(runnable=3), released_at=EPOCH)


async def test_a_stored_job_is_read_back(records: Records) -> None:
    record, _ = await records.register(a_job())
    assert await records.job("job-1") == record


async def test_everything_about_a_job_survives(records: Records) -> None:
    job = a_job(
        array=Array((range(3), range(7, 9)), total=100, manifest="sha256-abc"),
        command=("sh", "-c", "echo \udcff \x00 'quoted' \n …"),
        image="busybox",
        env={"A": "1", "Ü": "\U0001f600"},
        limits=Limits(vcpus=0.25, memory=1, timeout=5.5, grace=0.0, pids=7),
        retry=Retry(
            retries=2,
            infra_retries=3,
            backoff=0.5,
            max_memory=9,
            rules=(Rule(False, frozenset({Kind.KILLED}), ((1, 3), (9, 9)), 2.0), Rule(True)),
        ),
        queue="high",
        after=("job-0",),
        max_parallel=4,
        mounts=(Mount("/a", "/b"), Mount("/c", "/d", writable=True)),
        secrets=(Secret("TOKEN", "file", "/run/token"),),
        sidecars=(Sidecar("db", "redis", ("redis-server",), {"X": "y"}, 5),),
        idempotency_key="key",
    )
    await records.register(job)
    assert (await read(records)).job == job


async def test_a_job_that_comes_after_none_is_released_at_once(records: Records) -> None:
    record, _ = await records.register(a_job())
    assert (record.released_at, record.status) == (EPOCH, Status.RUNNABLE)


async def test_a_job_that_comes_after_others_waits(records: Records) -> None:
    record, _ = await records.register(a_job(3, after=("job-0",)))
    assert (record.released_at, record.status, record.counts) == (None, Status.PENDING, Counts(pending=3))


async def test_registering_the_same_again_finds_it(records: Records) -> None:
    await records.register(a_job())
    record, created = await records.register(a_job())
    assert not created
    assert record.job == a_job()


async def test_an_id_used_for_another_job_is_a_conflict(records: Records) -> None:
    await records.register(a_job())
    with pytest.raises(Conflict, match="job-1"):
        await records.register(a_job(command=("false",)))


async def test_an_idempotency_key_finds_the_job_stored_first(records: Records) -> None:
    await records.register(a_job(idempotency_key="key"))
    again = a_job(id="job-2", created_at=EPOCH + 99, idempotency_key="key")
    record, created = await records.register(again)
    assert (record.job.id, created) == ("job-1", False)
    assert await records.job("job-2") is None


async def test_an_idempotency_key_used_for_something_else_is_a_conflict(records: Records) -> None:
    await records.register(a_job(idempotency_key="key"))
    with pytest.raises(Conflict, match="key"):
        await records.register(a_job(id="job-2", command=("false",), idempotency_key="key"))


async def test_a_conflict_stores_nothing(records: Records) -> None:
    await records.register(a_job(idempotency_key="key"))
    with pytest.raises(Conflict):
        await records.register(a_job(id="job-2", command=("false",), idempotency_key="key"))
    assert len(await records.jobs()) == 1


async def test_jobs_without_a_key_do_not_conflict(records: Records) -> None:
    await records.register(a_job(id="job-1"))
    await records.register(a_job(id="job-2"))
    assert len(await records.jobs()) == 2


async def test_of_two_who_register_one_key_at_once_one_stores(rig: Rig, records: Records) -> None:
    other = (await rig.peer()).records()
    both = await asyncio.gather(
        records.register(a_job(id="job-1", idempotency_key="key")),
        other.register(a_job(id="job-2", idempotency_key="key")),
    )
    assert sorted(created for _, created in both) == [False, True]
    assert both[0][0].job.id == both[1][0].job.id


async def test_there_is_no_record_of_an_unknown_job(records: Records) -> None:
    assert await records.job("nowhere") is None


async def test_a_job_id_of_stray_bytes_is_just_unknown(records: Records) -> None:
    assert await records.job("\udcff\x00") is None


# --- jobs -------------------------------------------------------------------------------------------------


async def ids(records: Records, **wanted: object) -> list[str]:
    return [record.job.id for record in await records.jobs(**wanted)]  # type: ignore[arg-type]


async def test_jobs_are_listed_newest_first(records: Records) -> None:
    for number in range(3):
        await registered(records, id=f"job-{number}", created_at=EPOCH + number)
    assert await ids(records) == ["job-2", "job-1", "job-0"]


async def test_a_listing_is_limited_to_the_newest(records: Records) -> None:
    for number in range(5):
        await registered(records, id=f"job-{number}", created_at=EPOCH + number)
    assert await ids(records, limit=2) == ["job-4", "job-3"]


async def test_jobs_are_found_by_name(records: Records) -> None:
    await registered(records, id="a", name="one")
    await registered(records, id="b", name="two")
    await registered(records, id="c", name="one")
    assert await ids(records, name="one") == ["c", "a"]


async def test_a_name_is_no_pattern(records: Records) -> None:
    await registered(records, id="a", name="one")
    assert not await ids(records, name="%")
    assert not await ids(records, name="o*")


async def test_a_name_of_stray_bytes_is_found(records: Records) -> None:
    await registered(records, id="a", name="\udcff")
    assert await ids(records, name="\udcff") == ["a"]


async def test_jobs_are_found_by_the_beginning_of_their_id(records: Records) -> None:
    for name in ("abc1", "abc2", "abd1", "xabc"):
        await registered(records, id=name)
    assert await ids(records, id_prefix="abc") == ["abc2", "abc1"]


async def test_a_whole_id_is_a_prefix_too(records: Records) -> None:
    await registered(records, id="abc")
    assert await ids(records, id_prefix="abc") == ["abc"]


@pytest.mark.parametrize("pattern", ["%", "_", "*", "?", "[a]bc", "a_c", "a%", "'", "ABC", "\udcff", "\x00"])
async def test_a_prefix_is_no_pattern(records: Records, pattern: str) -> None:
    await registered(records, id="abc")
    assert not await ids(records, id_prefix=pattern)


async def test_an_empty_prefix_is_that_of_every_id(records: Records) -> None:
    await registered(records, id="abc")
    assert await ids(records, id_prefix="") == ["abc"]


async def test_unfinished_jobs_are_those_not_over(ledger: Ledger, records: Records) -> None:
    done, failed, cancelled, running, waiting = [
        await registered(records, 1, id=name, after=("x",) if name == "waiting" else ())
        for name in ("done", "failed", "cancelled", "running", "waiting")
    ]
    await succeed(ledger, await begin(ledger, done))
    await fail(ledger, await begin(ledger, failed))
    await cancel(records, cancelled)
    await begin(ledger, running)
    assert await ids(records, unfinished=True) == [waiting.id, running.id]


async def test_a_cancelled_job_is_unfinished_while_a_task_runs(ledger: Ledger, records: Records) -> None:
    job = await registered(records)
    attempt = await begin(ledger, job)
    await cancel(records, job)
    before = await ids(records, unfinished=True)
    await give_up(ledger, attempt)
    assert (before, await ids(records, unfinished=True)) == ([job.id], [])


async def test_a_reopened_job_is_unfinished(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await fail(ledger, await begin(ledger, job))
    await records.reopen(job.id, EPOCH)
    assert await ids(records, unfinished=True) == [job.id]


async def test_filters_hold_together(ledger: Ledger, records: Records) -> None:
    for name, id_ in itertools.product(("one", "two"), ("a", "b")):
        await registered(records, 1, id=f"{id_}-{name}", name=name)
    await cancel(records, a_job(id="a-one"))
    assert await ids(records, name="one", unfinished=True) == ["b-one"]
    assert await ids(records, name="two", id_prefix="b", unfinished=True, limit=5) == ["b-two"]


# --- counts and status ------------------------------------------------------------------------------------


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


# --- release and end --------------------------------------------------------------------------------------


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


# --- enqueueing -------------------------------------------------------------------------------------------


async def test_what_was_never_sent_is_unsent(records: Records) -> None:
    job = await registered(records, 5)
    assert (await records.unsent(job.id, 3)).indices == (0, 1, 2)


async def test_asking_what_is_unsent_changes_nothing(records: Records) -> None:
    job = await registered(records, 5)
    assert await records.unsent(job.id, 3) == await records.unsent(job.id, 3)


async def test_after_a_window_was_sent_comes_the_next(records: Records) -> None:
    job = await registered(records, 5)
    assert [await send_all(records, job, 2) for _ in range(4)] == [(0, 1), (2, 3), (4,), ()]


async def test_the_cursor_is_a_position(records: Records) -> None:
    job = await registered(records, array=Array((range(10, 12), range(50, 60)), total=100))
    await send_all(records, job, 3)
    assert (await read(records)).sent == 3
    assert (await records.unsent(job.id, 2)).indices == (51, 52)


async def test_saying_twice_that_a_window_was_sent_is_harmless(records: Records) -> None:
    job = await registered(records, 5)
    window = await records.unsent(job.id, 2)
    await records.sent(job.id, window)
    await records.sent(job.id, window)
    assert (await read(records)).sent == 2


async def test_the_cursor_never_moves_back(records: Records) -> None:
    job = await registered(records, 5)
    early = await records.unsent(job.id, 2)
    await send_all(records, job, 4)
    await records.sent(job.id, early)
    assert (await read(records)).sent == 4


async def test_a_job_that_waits_has_nothing_to_send(records: Records) -> None:
    job = await registered(records, after=("job-0",))
    assert (await records.unsent(job.id, 10)).indices == ()


async def test_an_ended_job_has_nothing_to_send(records: Records) -> None:
    job = await registered(records)
    await cancel(records, job)
    assert (await records.unsent(job.id, 10)).indices == ()


async def test_an_unknown_job_has_nothing_to_send(records: Records) -> None:
    assert (await records.unsent("nowhere", 10)).indices == ()


async def test_queued_are_the_sent_that_have_not_ended(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 10)
    await send_all(records, job, 6)
    await succeed(ledger, await begin(ledger, job, 0))
    await fail(ledger, await begin(ledger, job, 1))
    await give_back(ledger, await begin(ledger, job, 2))
    await begin(ledger, job, 3)
    assert (await read(records)).queued == 4


async def test_of_an_ended_job_only_what_runs_is_queued(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 10)
    await send_all(records, job, 6)
    await begin(ledger, job, 3)
    await cancel(records, job)
    assert (await read(records)).queued == 1


async def test_outstanding_are_the_sent_that_have_not_ended(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 10)
    await send_all(records, job, 6)
    await succeed(ledger, await begin(ledger, job, 0))
    await fail(ledger, await begin(ledger, job, 1))
    await give_back(ledger, await begin(ledger, job, 2))
    await begin(ledger, job, 3)
    assert list(await records.outstanding(job.id, 100)) == [2, 3, 4, 5]


async def test_outstanding_are_given_in_pages(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 10)
    await send_all(records, job)
    for index in (1, 4, 7):
        await succeed(ledger, await begin(ledger, job, index))
    await begin(ledger, job, 2)
    pages, last = [], -1
    while page := await records.outstanding(job.id, 3, last):
        pages.append(list(page))
        last = page[-1]
    assert pages == [[0, 2, 3], [5, 6, 8], [9]]


async def test_nothing_is_outstanding_of_what_was_not_sent(records: Records) -> None:
    job = await registered(records, 10)
    assert not await records.outstanding(job.id, 100)


async def test_of_an_ended_job_only_what_runs_is_outstanding(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 10)
    await send_all(records, job)
    await begin(ledger, job, 5)
    await cancel(records, job)
    assert list(await records.outstanding(job.id, 100)) == [5]


async def test_nothing_is_outstanding_of_a_job_that_is_over(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 1)
    await send_all(records, job)
    await succeed(ledger, await begin(ledger, job))
    assert not await records.outstanding(job.id, 100)


async def test_outstanding_of_scattered_indices(ledger: Ledger, records: Records) -> None:
    job = await registered(
        records, array=Array((range(3, 4), range(100, 103), range(500, 510, 3)), total=999)
    )
    await send_all(records, job, 6)
    await succeed(ledger, await begin(ledger, job, 101))
    assert list(await records.outstanding(job.id, 100)) == [3, 100, 102, 500, 503]


# --- reopen -----------------------------------------------------------------------------------------------


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
    repeated = await records.unsent("job-1", 2)
    assert (await records.unsent("job-1", 2)).indices == repeated.indices == (4, 5)


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


async def test_an_old_message_of_a_cancelled_round_is_still_refused_when_the_task_is_done(
    ledger: Ledger, records: Records
) -> None:
    job = await registered(records, 1)
    await cancel(records, job)
    await records.reopen(job.id, EPOCH + 50)
    await succeed(ledger, await begin(ledger, job, message="new"))
    assert (await refused(ledger, job, message="old")).kind is RefusalKind.FINISHED


# --- tasks and attempts -----------------------------------------------------------------------------------


async def test_there_is_no_record_of_a_task_that_never_began(records: Records) -> None:
    await registered(records)
    assert await records.task(TaskId("job-1", 0)) is None
    assert await records.task(TaskId("nowhere", 0)) is None


async def some_tasks(ledger: Ledger, records: Records) -> None:
    """0 and 5 succeeded, 1 and 4 failed, 2 and 6 run, 3 waits for its retry, 7 never began."""
    job = await registered(records, 8)
    for index in (0, 5):
        await succeed(ledger, await begin(ledger, job, index))
    for index in (1, 4):
        await fail(ledger, await begin(ledger, job, index))
    for index in (2, 6):
        await begin(ledger, job, index)
    await give_back(ledger, await begin(ledger, job, 3), delay=60.0)


async def listed(records: Records, **page: object) -> list[int]:
    return [record.task.index for record in await records.tasks("job-1", **page)]  # type: ignore[arg-type]


async def test_begun_tasks_are_listed_by_index(ledger: Ledger, records: Records) -> None:
    await some_tasks(ledger, records)
    assert await listed(records) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("statuses", "indices"),
    [
        ({Status.FAILED}, [1, 4]),
        ({Status.SUCCEEDED}, [0, 5]),
        ({Status.RUNNING}, [2, 6]),
        ({Status.RUNNABLE}, [3]),
        ({Status.CANCELLED}, []),
        ({Status.PENDING}, []),
        ({Status.FAILED, Status.RUNNING}, [1, 2, 4, 6]),
        ({Status.FAILED, Status.SUCCEEDED}, [0, 1, 4, 5]),
        (set(), []),
        (set(Status), [0, 1, 2, 3, 4, 5, 6]),
    ],
)
async def test_tasks_are_found_by_status(
    ledger: Ledger, records: Records, statuses: set[Status], indices: list[int]
) -> None:
    await some_tasks(ledger, records)
    assert await listed(records, statuses=statuses) == indices


@pytest.mark.parametrize("statuses", [None, set(Status), set(Status) - {Status.SUCCEEDED}])
async def test_tasks_are_given_in_pages(
    ledger: Ledger, records: Records, statuses: set[Status] | None
) -> None:
    await some_tasks(ledger, records)
    whole = await listed(records, statuses=statuses)
    pages, last = [], -1
    while page := await listed(records, statuses=statuses, after=last, limit=2):
        pages.append(page)
        last = page[-1]
    assert max(len(page) for page in pages) == 2
    assert [index for page in pages for index in page] == whole


async def test_a_listed_task_is_the_same_as_the_single_one(ledger: Ledger, records: Records) -> None:
    await some_tasks(ledger, records)
    for record in await records.tasks("job-1"):
        assert record == await records.task(record.task)


async def test_an_unknown_job_has_no_tasks(records: Records) -> None:
    assert not await records.tasks("nowhere")


async def test_a_task_that_never_began_has_no_attempts(records: Records) -> None:
    await registered(records)
    assert not await records.attempts(TaskId("job-1", 0))


# --- the leader -------------------------------------------------------------------------------------------


async def test_the_first_who_asks_leads(records: Records) -> None:
    assert await records.lead("one", 60.0)


async def test_only_one_leads(records: Records) -> None:
    await records.lead("one", 60.0)
    assert not await records.lead("two", 60.0)


async def test_a_leader_may_renew(rig: Rig, records: Records) -> None:
    await records.lead("one", 60.0)
    await rig.advance(40.0)
    assert await records.lead("one", 60.0)
    await rig.advance(40.0)
    assert not await records.lead("two", 60.0)


async def test_a_leader_that_does_not_renew_is_replaced(rig: Rig, records: Records) -> None:
    await records.lead("one", 60.0)
    await rig.advance(61.0)
    assert await records.lead("two", 60.0)
    assert not await records.lead("one", 60.0)


async def test_a_leader_that_resigns_is_replaced_at_once(records: Records) -> None:
    await records.lead("one", 60.0)
    await records.resign("one")
    assert await records.lead("two", 60.0)


async def test_who_does_not_lead_cannot_resign_for_the_leader(records: Records) -> None:
    await records.lead("one", 60.0)
    await records.resign("two")
    assert not await records.lead("two", 60.0)


async def test_who_does_not_lead_publishes_nothing(ledger: Ledger, records: Records) -> None:
    await records.lead("one", 60.0)
    await records.publish("one", 5)
    await records.publish("two", 99)
    assert (await ledger.supervision()).demand == 5


async def test_a_leader_whose_lease_ran_out_publishes_nothing(
    rig: Rig, ledger: Ledger, records: Records
) -> None:
    await records.lead("one", 60.0)
    await records.publish("one", 5)
    await rig.advance(61.0)
    await records.publish("one", 99)
    assert (await ledger.supervision()).demand == 5


async def test_of_two_who_would_lead_at_once_one_does(rig: Rig, records: Records) -> None:
    other = (await rig.peer()).records()
    both = await asyncio.gather(records.lead("one", 60.0), other.lead("two", 60.0))
    assert sorted(both) == [False, True]


async def test_an_empty_window_moves_nothing(records: Records) -> None:
    job = await registered(records)
    await records.sent(job.id, Window((), 0))
    assert (await read(records)).sent == 0
