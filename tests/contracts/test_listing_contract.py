"""What every ledger must tell of tasks and attempts, and who leads."""

from __future__ import annotations

import asyncio

import pytest

from controller.ports import Records
from runner.model import Status, TaskId
from runner.ports import Ledger
from runner.records import Window
from tests.contracts.acts import begin, fail, give_back, read, registered, succeed
from tests.contracts.rigs import Rig


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
