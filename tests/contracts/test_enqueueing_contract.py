"""What every ledger must know of what was sent: the cursor, the queued, the outstanding."""

from __future__ import annotations

from controller.ports import Records
from runner.array import Array
from runner.ports import Ledger
from tests.contracts.acts import begin, cancel, fail, give_back, read, registered, send_all, succeed


async def test_what_was_never_sent_is_unsent(records: Records) -> None:
    job = await registered(records, 5)
    assert (await records.unsent(job.id, 3)).indices == (0, 1, 2)


async def test_no_more_is_unsent_than_may_be_queued(ledger: Ledger, records: Records) -> None:
    job = await registered(records, 9)
    await send_all(records, job, 4)
    await succeed(ledger, await begin(ledger, job, 0))
    assert (await records.unsent(job.id, 3)).indices == ()
    assert (await records.unsent(job.id, 5)).indices == (4, 5)


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
    assert (await records.unsent(job.id, 5)).indices == (51, 52)


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
