"""Tasks and attempts as records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence

from runner.adapters.dynamodb import hints, keys, stored, streams, tasks
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import LARGEST_PAGE, Table
from runner.adapters.dynamodb.tasks import TaskItem
from runner.array import Array
from runner.model import Status, TaskId
from runner.records import AttemptRecord, TaskRecord

# Candidates looked at in one read.
TOGETHER = 100


async def task(table: Table, array: Array, standing: Standing, index: int) -> TaskRecord | None:
    found = await table.get(keys.task(TaskId(standing.job_id, index), standing.buckets))
    if found is None:
        return None
    item = tasks.as_it_stands(standing, tasks.unpack(found), array.rank(index))
    return tasks.task_record(standing.job_id, item)


async def listing(
    table: Table,
    array: Array,
    standing: Standing,
    statuses: Collection[Status] | None,
    after: int,
    limit: int,
) -> Sequence[TaskRecord]:
    if statuses is None or Status.SUCCEEDED in statuses:
        found = every(table, standing, after, min(limit, LARGEST_PAGE))
    else:
        running = (await stored.total(table, standing)).active if Status.RUNNING in statuses else ()
        found = unsuccessful(table, standing, after, running, statuses, limit)
    records: list[TaskRecord] = []
    async for item in found:
        item = tasks.as_it_stands(standing, item, array.rank(item.index))
        if statuses is None or item.status in statuses:
            records.append(tasks.task_record(standing.job_id, item))
        if len(records) >= limit:
            break
    return records


async def every(
    table: Table, standing: Standing, after: int = -1, page: int = streams.FIRST_PAGE
) -> AsyncIterator[TaskItem]:
    """The items of all tasks that were begun, by index."""
    partitions = keys.tasks(standing.job_id, standing.buckets)
    async for item in streams.ordered(table, partitions, after, page):
        yield tasks.unpack(item)


async def unsuccessful(
    table: Table,
    standing: Standing,
    after: int = -1,
    running: Sequence[int] = (),
    statuses: Collection[Status] | None = None,
    limit: int = TOGETHER,
) -> AsyncIterator[TaskItem]:
    """The items of tasks that once ended without success, and of those in `running`, by index. `statuses`: only those
    that may be one of these. `limit`: no more are likely to be wanted."""
    enough = min(TOGETHER, max(1, limit))
    together: list[int] = []
    async for index in _merged(_hinted(table, standing, after, statuses), after, running):
        together.append(index)
        if len(together) >= enough:
            for item in await read(table, standing, together):
                yield item
            together, enough = [], min(TOGETHER, 4 * enough)
    for item in await read(table, standing, together):
        yield item


async def _hinted(
    table: Table, standing: Standing, after: int, statuses: Collection[Status] | None
) -> AsyncIterator[int]:
    partitions = keys.hints(standing.job_id, standing.buckets)
    async for hint in streams.ordered(table, partitions, after):
        if statuses is None or hints.may_lead_to(hint, standing, statuses):
            yield int(hint["sk"])


async def _merged(hinted: AsyncIterator[int], after: int, running: Sequence[int]) -> AsyncIterator[int]:
    left = [index for index in running if index > after]
    async for index in hinted:
        while left and left[0] <= index:
            smaller = left.pop(0)
            if smaller < index:
                yield smaller
        yield index
    for index in left:
        yield index


async def read(table: Table, standing: Standing, indices: Iterable[int]) -> Sequence[TaskItem]:
    wanted = [keys.task(TaskId(standing.job_id, index), standing.buckets) for index in indices]
    found = await table.batch(wanted) if wanted else ()
    return sorted(map(tasks.unpack, found), key=lambda item: item.index)


async def attempts(table: Table, task: TaskId, standing: Standing) -> Sequence[AttemptRecord]:
    """Every ended attempt, oldest first. One that stands in both places is what its task's item says: the other may be
    of a takeover that did not come about."""
    key = keys.history(task, standing.buckets, 0)
    earlier = [item async for item in table.query(key.pk, prefix=f"{keys.index(task.index)}#")]
    latest = await table.get(keys.task(task, standing.buckets))
    by_number = {item.number: item for item in map(tasks.unpack, [*earlier, *([latest] if latest else [])])}
    records = [tasks.attempt_record(task.job_id, by_number[number]) for number in sorted(by_number)]
    return [record for record in records if record is not None]
