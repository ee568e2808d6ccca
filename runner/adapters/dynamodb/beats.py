"""Beats: one write per owner, whatever it holds.

An owner's item has the number of the last beat of each of its attempts. Who wants to know whether an attempt's owner
lives compares what it says now with what it said before, and when that was by the service's clock; the owner's own
clock does not matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.standings import Standings
from runner.adapters.dynamodb.table import Table
from runner.adapters.dynamodb.values import Item
from runner.model import Attempt, Status, TaskId
from runner.ports import Clock

# After so many seconds of silence an owner's item goes by itself; anybody who cares has taken over long before.
KEPT = 7 * 86400


class Last(NamedTuple):
    """`beat` stands for an attempt's last one; an empty string before the first. `at`: when that was read."""

    beat: str
    at: float


class Beats:
    """`name`: this process's. It is part of every beat, because an agent that was started anew may beat for an attempt
    of its predecessor: the value must change, whatever was there."""

    def __init__(self, table: Table, name: str, now: Clock, standings: Standings) -> None:
        self._table = table
        self._name = name
        self._now = now
        self._standings = standings
        self._count = 0
        self._held: dict[str, dict[str, int]] = {}
        self._ending: set[Attempt] = set()

    async def touch(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """Those that are no longer current."""
        owners = {attempt.owner for attempt in attempts}
        self._count += 1
        for attempt in attempts:
            self._held.setdefault(attempt.owner, {})[str(attempt)] = self._count
        asking = asyncio.ensure_future(self._gone(attempts))
        await asyncio.gather(asking, *(self._put(owner) for owner in owners))
        gone = asking.result()
        for attempt in gone:
            self.forget(attempt)
        return gone

    async def last(self, attempt: Attempt) -> Last:
        found = await self._table.dated(keys.beats(attempt.owner), self._now)
        item = found.item or {}
        number = item.get("beats", {}).get(str(attempt))
        return Last("" if number is None else f"{item['name']}.{number}", found.at)

    @contextmanager
    def ending(self, attempt: Attempt) -> Iterator[None]:
        """While it is being recorded it still counts as current here, though its record says already that it ended."""
        self._ending.add(attempt)
        try:
            yield
        finally:
            self._ending.discard(attempt)

    def forget(self, attempt: Attempt) -> None:
        held = self._held.get(attempt.owner, {})
        held.pop(str(attempt), None)
        if not held:
            self._held.pop(attempt.owner, None)

    async def _put(self, owner: str) -> None:
        beats = dict(self._held.get(owner, {}))
        expires = int(self._now() + KEPT)
        await self._table.put(
            {**keys.beats(owner)._asdict(), "name": self._name, "beats": beats, "expires": expires}
        )

    async def _gone(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """By reads that may be a moment old: that a beat is told of a takeover by the next one is early enough, for
        takeovers wait for a lease. What such a read says is *missing* may just not have arrived, and is asked again."""
        asked = [attempt for attempt in attempts if attempt not in self._ending]
        found = await self._items(asked, consistent=False)
        unclear = [attempt for attempt in asked if _behind(attempt, found.get(attempt.task))]
        found.update(await self._items(unclear, consistent=True))
        return [
            attempt
            for attempt in asked
            if attempt not in self._ending and not _current(attempt, found.get(attempt.task))
        ]

    async def _items(self, attempts: Collection[Attempt], *, consistent: bool) -> dict[TaskId, Item]:
        known = {job_id: await self._standings.once(job_id) for job_id in {a.task.job_id for a in attempts}}
        wanted = {
            keys.task(attempt.task, standing.buckets): attempt.task
            for attempt in attempts
            if (standing := known[attempt.task.job_id]) is not None
        }
        items = await self._table.batch(wanted, consistent=consistent) if wanted else ()
        return {wanted[keys.Key(str(item["pk"]), str(item["sk"]))]: item for item in items}


def _behind(attempt: Attempt, item: Item | None) -> bool:
    return item is None or item["n"] < attempt.number


def _current(attempt: Attempt, item: Item | None) -> bool:
    return item is not None and item["n"] == attempt.number and item["s"] == Status.RUNNING.value
