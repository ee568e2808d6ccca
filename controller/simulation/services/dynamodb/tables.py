"""What stands in a table, by collection: the items that share a partition key, in the order of their sort key.

Items are never changed in place, only replaced. Where eventually consistent reads may be late, what was replaced is
kept for so long.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb.schema import Key, Schema
from controller.simulation.services.dynamodb.values import Item


class Stored(NamedTuple):
    """`size`: in bytes, as it is billed."""

    item: Item
    size: int


# An item before and after it changed.
Watch = Callable[[Item | None, Item | None], None]


class Replaced(NamedTuple):
    """What stood there until `at`."""

    at: float
    range: Any
    stored: Stored | None


@dataclass(slots=True)
class Collection:
    stored: dict[Any, Stored] = field(default_factory=dict)
    order: list[Any] = field(default_factory=list)
    past: deque[Replaced] = field(default_factory=deque)

    def put(self, range_key: Any, stored: Stored | None) -> None:
        if stored is not None:
            if range_key not in self.stored:
                insort(self.order, range_key)
            self.stored[range_key] = stored
        elif self.stored.pop(range_key, None) is not None:
            del self.order[bisect_left(self.order, range_key)]

    def remember(self, range_key: Any, now: float, lag: float) -> None:
        """What stands there, before it is replaced."""
        while self.past and self.past[0].at < now - lag:
            self.past.popleft()
        self.past.append(Replaced(now, range_key, self.stored.get(range_key)))

    def get(self, range_key: Any, as_of: float | None) -> Stored | None:
        if as_of is not None:
            for replaced in self.past:
                if replaced.at > as_of and replaced.range == range_key:
                    return replaced.stored
        return self.stored.get(range_key)

    def as_of(self, time: float | None) -> Collection:
        """What it was then."""
        if time is None or not self.past or self.past[-1].at <= time:
            return self
        then = Collection(dict(self.stored), list(self.order))
        for replaced in reversed(self.past):
            if replaced.at > time:
                then.put(replaced.range, replaced.stored)
        return then


@dataclass
class Table:
    """`expiry`: the attribute that says when an item's time is over. `watch` sees each change."""

    name: str
    schema: Schema
    created_at: float
    watch: Watch
    expiry: str | None = None
    collections: dict[Any, Collection] = field(default_factory=dict)

    def get(self, key: Key, as_of: float | None = None) -> Stored | None:
        collection = self.collections.get(key.hash)
        return collection.get(key.range, as_of) if collection is not None else None

    def collection(self, hash_key: Any, as_of: float | None) -> Collection:
        collection = self.collections.get(hash_key)
        return collection.as_of(as_of) if collection is not None else Collection()

    def put(self, key: Key, stored: Stored | None, now: float, lag: float) -> None:
        """What it replaces may be read for `lag` seconds more."""
        collection = self.collections.get(key.hash)
        if collection is None:
            collection = self.collections[key.hash] = Collection()
        before = collection.stored.get(key.range)
        if lag:
            collection.remember(key.range, now, lag)
        collection.put(key.range, stored)
        if not collection.order and not collection.past:
            del self.collections[key.hash]
        self.watch(before.item if before else None, stored.item if stored else None)

    def __iter__(self) -> Iterator[tuple[Key, Stored]]:
        """In the order of the keys."""
        for hash_key in sorted(self.collections):
            collection = self.collections[hash_key]
            for range_key in collection.order:
                yield Key(hash_key, range_key), collection.stored[range_key]
