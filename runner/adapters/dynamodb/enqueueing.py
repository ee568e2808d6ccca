"""How far a job is enqueued: what to send next, what was sent, what of that has not ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runner.adapters.dynamodb import browsing, keys, standing, tasks
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import Total
from runner.adapters.dynamodb.table import Condition, Table, Written
from runner.adapters.dynamodb.tasks import TaskItem
from runner.array import Array
from runner.model import Status, TaskId
from runner.records import Window

CHUNK = 10_000
TOGETHER = 25


@dataclass(frozen=True, slots=True)
class Place:
    """One task: its index, its position in the array, and its item; None if it never began."""

    index: int
    position: int
    item: TaskItem | None

    def opened_again(self, standing: Standing) -> int | None:
        if self.item is None:
            return standing.opened_again(None, 0, self.position)
        return standing.opened_again(self.item.status, self.item.settled, self.position)

    def to_be_sent_again(self, standing: Standing) -> bool:
        if self.item is not None and standing.on_its_own(self.item.lifted):
            return not self.item.resent
        return standing.to_be_sent_again(self.opened_again(standing), self.position)


class Plan(NamedTuple):
    """What to send next, and what was found out, if that is news. `scanned`: how far there is nothing more to be sent
    again; `lifted_sent`: nothing of so many that were sent on their own."""

    window: Window
    scanned: int | None = None
    lifted_sent: int | None = None

    @property
    def news(self) -> bool:
        return self.scanned is not None or self.lifted_sent is not None


async def unsent(table: Table, array: Array, standing: Standing, total: Total, most: int) -> Plan:
    room = most - standing.queued(total)
    if standing.waiting or standing.ending is not None or room <= 0:
        return Plan(Window((), standing.sent, standing.round))
    again = await _again(table, array, standing, room) if standing.scanning else []
    owed = standing.lifted_unsent(total)
    looking = owed > 0 and len(again) < room
    lifted = await _lifted(table, array, standing, room - len(again)) if looking else []
    # As long as these are too many, there is less room than it seems.
    opened = max(standing.unsent_again(total), len(again))
    fresh = array.window(standing.sent, max(0, room - opened - max(owed, len(lifted))))
    # One that was begun before the cursor passed it may be opened again there.
    indices = tuple(dict.fromkeys((*again, *lifted, *fresh)))
    return Plan(
        Window(indices, standing.sent + len(fresh), standing.round),
        scanned=standing.resend_end if standing.scanning and not again else None,
        lifted_sent=total.lifted if looking and not (again or lifted) else None,
    )


async def _lifted(table: Table, array: Array, standing: Standing, limit: int) -> list[int]:
    """What is to be sent again on its own and is not met on the way through what the round opened."""
    found: list[int] = []
    async for item in browsing.unsuccessful(table, standing):
        place = Place(item.index, array.rank(item.index), item)
        on_the_way = standing.scanned <= place.position < standing.resend_end
        if _on_its_own(standing, item) and not on_the_way:
            found.append(item.index)
        if len(found) >= limit:
            break
    return found


def _on_its_own(standing: Standing, item: TaskItem) -> bool:
    return standing.on_its_own(item.lifted) and not item.resent


async def lifted_sent(table: Table, standing: Standing, total: Total, window: Window) -> Collection[int]:
    """Note of those in the window that are sent again on their own that they were. Returns which."""
    if window.round != standing.round or standing.ending is not None or not standing.lifted_unsent(total):
        return ()
    items = await browsing.read(table, standing, window.indices)
    late = [item for item in items if _on_its_own(standing, item)]
    noted: list[int] = []
    for start in range(0, len(late), TOGETHER):
        together = late[start : start + TOGETHER]
        written = await asyncio.gather(*(_note(table, standing, item) for item in together))
        noted += [item.index for item, each in zip(together, written, strict=True) if each.ok]
    return noted


async def _note(table: Table, standing: Standing, item: TaskItem) -> Written:
    key = keys.task(TaskId(standing.job_id, item.index), standing.buckets)
    current = tasks.current(item.number, item.status)
    resent = tasks.ATTRIBUTES["resent"]
    once = Condition(f"{current.text} AND attribute_not_exists(#{resent})", current.values)
    return await table.update(key, {resent: True}, once)


async def _again(table: Table, array: Array, standing: Standing, limit: int) -> list[int]:
    found: list[int] = []
    async for place in _candidates(table, array, standing):
        if place.position >= standing.resend_end:
            break
        if place.to_be_sent_again(standing):
            found.append(place.index)
        if len(found) >= limit:
            break
    return found


async def _candidates(table: Table, array: Array, standing: Standing) -> AsyncIterator[Place]:
    after = _before(array, standing.scanned)
    if standing.gap_open:
        items = browsing.every(table, standing, after)
        async for place in walk(array, standing.scanned, standing.resend_end, items):
            yield place
    else:  # then it was begun, and ended without success: there are fewer of these
        async for item in browsing.unsuccessful(table, standing, after):
            yield Place(item.index, array.rank(item.index), item)


def _before(array: Array, position: int) -> int:
    """The index before that position: reading goes on after it."""
    return array.window(position - 1, 1)[0] if position else -1


async def outstanding(
    table: Table, array: Array, standing: Standing, limit: int, after: int
) -> Sequence[int]:
    found: list[int] = []
    items = browsing.every(table, standing, after)
    async for place in walk(array, array.rank(after + 1), standing.sent, items):
        if _outstanding(standing, place):
            found.append(place.index)
        if len(found) >= limit:
            break
    return found


def _outstanding(standing: Standing, place: Place) -> bool:
    status = place.item.status if place.item else None
    if status is Status.RUNNING:
        return True
    if status is Status.SUCCEEDED or standing.ending is not None:
        return False
    if place.item is not None and standing.on_its_own(place.item.lifted):
        return place.item.resent  # wherever the cursor is: it may have been begun before that passed it
    if status is not None and place.opened_again(standing) is None:
        return status is Status.RUNNABLE
    return place.position < standing.sent and not place.to_be_sent_again(standing)


async def walk(array: Array, start: int, end: int, items: AsyncIterator[TaskItem]) -> AsyncIterator[Place]:
    """The places at positions from `start` to below `end`, and those that have an item beyond."""
    async for item in items:
        position = array.rank(item.index)
        for place in _never_begun(array, start, min(position, end)):
            yield place
        yield Place(item.index, position, item)
        start = position + 1
    for place in _never_begun(array, start, end):
        yield place


def _never_begun(array: Array, start: int, end: int) -> Iterator[Place]:
    while start < end:
        indices = array.window(start, min(CHUNK, end - start))
        yield from (Place(index, start + number, None) for number, index in enumerate(indices))
        start += len(indices)


def learnt(plan: Plan, found: Standing) -> Standing | None:
    """The standing that remembers what the plan found out."""
    if plan.window.round != found.round:
        return None
    known = standing.lifted_sent(found, plan.lifted_sent or 0)
    return standing.scanned_to(known or found, plan.scanned or 0) or known
