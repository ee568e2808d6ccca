"""Adds a job's tasks up anew from their own records.

A process that dies between recording an end and writing its sums leaves them short for ever. Each record tells by its
marks whose sums it belongs in; so they can be made whole, source by source. What counts more events replaces what
counts fewer: a source that lives and counts on is never overwritten by something older, and nothing is counted twice.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from runner.adapters.dynamodb import keys, streams, tasks, totals
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import Sums
from runner.adapters.dynamodb.table import LARGEST_PAGE, Table
from runner.adapters.dynamodb.tasks import TaskItem

TOGETHER = 25


async def recount(table: Table, standing: Standing, expires: int | None) -> None:
    found = await _counted(table, standing)
    items = [
        totals.item_of(standing.job_id, standing.parts, source, sums, expires)
        for source, sums in found.items()
    ]
    for start in range(0, len(items), TOGETHER):
        await asyncio.gather(*(totals.put(table, item) for item in items[start : start + TOGETHER]))


async def _counted(table: Table, standing: Standing) -> dict[str, Sums]:
    """By source. Attempts before the latest are read first: one that becomes so meanwhile is then missed, not doubled,
    and a recount may fall short but never say too much."""
    earlier = {
        (item.index, item.number): item
        async for item in _items(table, keys.histories(standing.job_id, standing.buckets))
    }
    found: dict[str, Sums] = defaultdict(Sums)
    async for item in _items(table, keys.tasks(standing.job_id, standing.buckets)):
        earlier.pop((item.index, item.number), None)
        _add(found, item)
    for item in earlier.values():
        _add(found, item)
    return found


async def _items(table: Table, partitions: Sequence[str]) -> AsyncIterator[TaskItem]:
    async for item in streams.ordered(table, partitions, page=LARGEST_PAGE):
        yield tasks.unpack(item)


def _add(found: dict[str, Sums], item: TaskItem) -> None:
    source = found[item.begin_mark.source]
    source.begun += 1
    end = tasks.end_of(item)
    if end is None or item.end_mark is None:
        source.running[item.index] = (item.number, item.begun_at)
    else:
        found[item.end_mark.source].end(end)
