"""Listings of tasks: begun ones from the ledger, the others made up, one by one in the order of their indices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.listing import list_tasks, unbegun
from runner.array import Array
from runner.model import Job, Status, TaskId
from runner.records import AttemptRecord, Counts, Ending, JobRecord, TaskRecord

BEGUN = (Status.RUNNABLE, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Begun:
    """The part of `Records` that a listing asks for. Counts the tasks it gives out."""

    def __init__(self, begun: Mapping[int, Status]) -> None:
        self._begun = begun
        self.read = 0

    async def tasks(
        self, job_id: str, *, statuses: Collection[Status] | None = None, after: int = -1, limit: int = 1000
    ) -> Sequence[TaskRecord]:
        found = [
            TaskRecord(TaskId(job_id, index), status, attempt=1)
            for index, status in sorted(self._begun.items())
            if index > after and (statuses is None or status in statuses)
        ][:limit]
        self.read += len(found)
        return found

    async def task(self, task: TaskId) -> TaskRecord | None:
        raise AssertionError

    async def attempts(self, task: TaskId) -> Sequence[AttemptRecord]:
        raise AssertionError


def record_of(array: Array, begun: Mapping[int, Status]) -> JobRecord:
    tally = {status: sum(1 for each in begun.values() if each is status) for status in Status}
    counts = Counts(
        runnable=tally[Status.RUNNABLE] + array.size - len(begun),
        running=tally[Status.RUNNING],
        succeeded=tally[Status.SUCCEEDED],
        failed=tally[Status.FAILED],
        cancelled=tally[Status.CANCELLED],
    )
    return JobRecord(Job("j", "j", ("x",), array), counts, released_at=0.0)


def listed(
    records: Begun,
    record: JobRecord,
    statuses: Collection[Status] = (),
    limit: int | None = None,
    after: int = -1,
) -> list[tuple[int, Status]]:
    async def all_of() -> list[tuple[int, Status]]:
        found = list_tasks(records, record, statuses, limit, after=after)  # type: ignore[arg-type]
        return [(task.task.index, task.status) async for task in found]

    return asyncio.run(all_of())


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Array, dict[int, Status]]:
    indices = sorted(draw(st.sets(st.integers(0, 60), min_size=1)))
    array = Array(tuple(range(index, index + 1) for index in indices), total=len(indices))
    begun = draw(st.dictionaries(st.sampled_from(indices), st.sampled_from(BEGUN)))
    return array, begun


@given(
    job=jobs(),
    statuses=st.sets(st.sampled_from(list(Status))),
    after=st.integers(-1, 61),
    limit=st.none() | st.integers(1, 70),
)
def test_a_listing_has_what_the_filter_leaves_of_all_tasks_in_order(
    job: tuple[Array, dict[int, Status]], statuses: set[Status], after: int, limit: int | None
) -> None:
    array, begun = job
    everything = [(index, begun.get(index, Status.RUNNABLE)) for index in array if index > after]
    wanted = [one for one in everything if not statuses or one[1] in statuses]
    assert listed(Begun(begun), record_of(array, begun), statuses, limit, after) == wanted[:limit]


def test_listing_the_failed_reads_no_other_task() -> None:
    begun = dict.fromkeys(range(5000), Status.SUCCEEDED) | {7: Status.FAILED, 4000: Status.FAILED}
    records = Begun(begun)
    assert listed(records, record_of(Array.of_size(1_000_000), begun), {Status.FAILED}) == [
        (7, Status.FAILED),
        (4000, Status.FAILED),
    ]
    assert records.read == 2


def test_a_limit_ends_the_reading_of_a_long_array() -> None:
    found = listed(Begun({}), record_of(Array.of_size(1_000_000), {}), limit=3)
    assert [index for index, _ in found] == [0, 1, 2]


def test_listing_waiting_tasks_stops_when_all_that_wait_were_found() -> None:
    begun = dict.fromkeys(range(10, 5000), Status.SUCCEEDED)
    records = Begun(begun)
    found = listed(records, record_of(Array.of_size(5000), begun), {Status.RUNNABLE})
    assert [index for index, _ in found] == list(range(10))
    assert records.read <= 1000


@pytest.mark.parametrize(
    ("released_at", "ending", "status", "reason"),
    [
        pytest.param(None, None, Status.PENDING, "", id="waits for parents"),
        pytest.param(1.0, None, Status.RUNNABLE, "", id="may run"),
        pytest.param(1.0, Ending(Status.CANCELLED, "by me", 2.0), Status.CANCELLED, "by me", id="cancelled"),
        pytest.param(
            None, Ending(Status.FAILED, "parent", 2.0), Status.CANCELLED, "parent", id="parent failed"
        ),
    ],
)
def test_a_task_that_never_began_follows_its_job(
    released_at: float | None, ending: Ending | None, status: Status, reason: str
) -> None:
    job = Job("j", "j", ("x",), Array.of_size(2))
    task = unbegun(JobRecord(job, Counts(), released_at=released_at, ending=ending), 1)
    assert (task.status, task.reason, task.begun) == (status, reason, False)
