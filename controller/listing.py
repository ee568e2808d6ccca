"""Lists a job's tasks, also those that never began, of which the ledger therefore has no record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator

from controller.ports import Records
from controller.report import count_of
from runner.array import Array
from runner.errors import NotFound
from runner.model import Status, TaskId
from runner.records import JobRecord, TaskRecord
from runner.wording import counted

PAGE = 1000


def unbegun(record: JobRecord, index: int) -> TaskRecord:
    """The task no attempt at which ever began, as listings make it up."""
    ending = record.ending
    if ending is not None:
        return TaskRecord(TaskId(record.job.id, index), Status.CANCELLED, record.round, reason=ending.reason)
    status = Status.PENDING if record.released_at is None else Status.RUNNABLE
    return TaskRecord(TaskId(record.job.id, index), status, record.round)


async def find_task(records: Records, record: JobRecord, task: TaskId) -> TaskRecord:
    return await records.task(task) or unbegun(record, task.index)


def no_attempt(task: TaskRecord, number: int) -> NotFound:
    """Of one that never began."""
    had = counted(task.attempt, "attempt")
    return NotFound(f"{task.task} has had {had}; there is no attempt {number}")


async def list_tasks(
    records: Records,
    record: JobRecord,
    statuses: Collection[Status] = (),
    limit: int | None = None,
    *,
    after: int = -1,
) -> AsyncIterator[TaskRecord]:
    """The job's tasks of an index greater than `after`, begun or not, those of `statuses` (all, if empty).

    Holds one page at a time. Where no unbegun task can match, only those that do are read: the failed of the
    largest job are found at once.
    """
    wanted = frozenset(statuses or Status)
    most = record.job.array.size if limit is None else limit
    if _some_unbegun_match(record, wanted):
        most = min(most, count_of(record.counts, wanted))
        found = _merged(records, record, wanted, after)
    else:
        found = _begun(
            records, record, None if len(wanted) == len(Status) else wanted, after, min(most, PAGE)
        )
    if most <= 0:
        return
    async for task in found:
        yield task
        most -= 1
        if most == 0:
            return


def _some_unbegun_match(record: JobRecord, wanted: Collection[Status]) -> bool:
    status = unbegun(record, 0).status
    return status in wanted and count_of(record.counts, (status,)) > 0


async def _begun(
    records: Records, record: JobRecord, statuses: Collection[Status] | None, after: int, page: int
) -> AsyncIterator[TaskRecord]:
    while found := await records.tasks(record.job.id, statuses=statuses, after=after, limit=max(1, page)):
        for task in found:
            yield task
        after = found[-1].task.index


async def _merged(
    records: Records, record: JobRecord, wanted: Collection[Status], after: int
) -> AsyncIterator[TaskRecord]:
    indices = _indices(record.job.array, after)
    async for task in _begun(records, record, None, after, PAGE):
        for made_up in _unbegun_before(record, indices, task.task.index):
            if made_up.status in wanted:
                yield made_up
        if task.status in wanted:
            yield task
    for index in indices:
        made_up = unbegun(record, index)
        if made_up.status in wanted:
            yield made_up


def _indices(array: Array, after: int) -> Iterator[int]:
    """Those greater than `after`, without walking the others."""
    for span in array.spans:
        yield from span[max(0, (after - span.start) // span.step + 1) :]


def _unbegun_before(record: JobRecord, indices: Iterator[int], begun: int) -> Iterator[TaskRecord]:
    """Moves `indices` to just behind `begun`."""
    for index in indices:
        if index >= begun:
            return
        yield unbegun(record, index)
