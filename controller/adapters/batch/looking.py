"""Which children of an array are worth a look: the parent's counts say whether anything has moved, and how much.

So a poll of an array in which nothing happened costs a hundredth of a request, and every child is described about twice
in its life: once when it runs, once when it has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from controller.adapters.batch.details import FORGOTTEN, OVER, BatchJob, batch_job
from controller.adapters.batch.handed import DONE, RUNNING, WAITING, Handed
from controller.adapters.batch.service import AT_ONCE, BatchService


async def look(service: BatchService, handed: Handed, parent: BatchJob) -> AsyncIterator[Sequence[BatchJob]]:
    """The children to be recorded, some at a time; after each, `handed.states` is to be up to date. Raises AwsError."""
    if handed.submission.size == 1:
        yield [parent]
    elif parent.over:
        async for jobs in _described(service, parent, _open(handed)):
            yield jobs
    else:
        async for jobs in _moved(service, handed, parent):
            yield jobs


async def _moved(
    service: BatchService, handed: Handed, parent: BatchJob
) -> AsyncIterator[Sequence[BatchJob]]:
    counts = parent.counts or {}
    running = handed.places(RUNNING)
    if running and (_ended_unseen(handed, parent) or counts.get("RUNNING", 0) < len(running)):
        async for jobs in _described(service, parent, running):
            yield jobs
    if counts.get("RUNNING", 0) > handed.states.count(RUNNING):
        places = [place async for place in _listed(service, parent, "RUNNING")]
        async for jobs in _described(service, parent, _among(handed, places, WAITING)):
            yield jobs
    if _ended_unseen(handed, parent):
        places = [place for status in OVER async for place in _listed(service, parent, status)]
        async for jobs in _described(service, parent, _among(handed, places, WAITING, RUNNING)):
            yield jobs


def _ended_unseen(handed: Handed, parent: BatchJob) -> bool:
    return handed.ended_by(parent) > handed.states.count(DONE)


def _open(handed: Handed) -> list[int]:
    return [place for place, state in enumerate(handed.states) if state != DONE]


def _among(handed: Handed, places: Sequence[int], *states: int) -> list[int]:
    return [place for place in places if handed.states[place] in states]


async def _listed(service: BatchService, parent: BatchJob, status: str) -> AsyncIterator[int]:
    async for child in service.children(parent.id, status):
        yield int(child.partition(":")[2])


async def _described(
    service: BatchService, parent: BatchJob, places: Sequence[int]
) -> AsyncIterator[Sequence[BatchJob]]:
    for some in _batched(places):
        ids = [f"{parent.id}:{place}" for place in some]
        found = await service.describe(ids)
        jobs = [batch_job(detail) for detail in found.values()]
        if parent.over:
            jobs += [_unknown(parent, each) for each in ids if each not in found]
        yield jobs


def _unknown(parent: BatchJob, child_id: str) -> BatchJob:
    """A child that was forgotten before its parent; or the parent ended before it had children: as if each had."""
    had_children = any((parent.counts or {}).values())
    reason = FORGOTTEN if had_children and not parent.stopped else parent.reason
    return BatchJob(child_id, parent.status, reason, stopped_at=parent.stopped_at, stopped=parent.stopped)


def _batched(places: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(places), AT_ONCE):
        yield places[start : start + AT_ONCE]
