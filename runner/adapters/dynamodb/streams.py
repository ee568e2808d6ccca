"""Items of many partitions in the order of their sort keys, read as far as they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.table import LARGEST_PAGE, Table
from runner.adapters.dynamodb.values import Item

FIRST_PAGE = 16


class _Reader:
    """One partition. Pages grow, so that neither a short look nor a long one costs more than it must."""

    def __init__(self, table: Table, pk: str, after: str | None, page: int) -> None:
        self._table = table
        self._pk = pk
        self._after = after
        self._page = page
        self._start: Item | None = None
        self.items: list[Item] = []
        self.done = False

    async def fill(self) -> None:
        while not (self.items or self.done):
            page = await self._table.page(self._pk, after=self._after, limit=self._page, start=self._start)
            self.items, self._start = list(page.items), page.last
            self.done = page.last is None
            self._page = min(LARGEST_PAGE, 4 * self._page)

    def take(self, last: str | None) -> Sequence[Item]:
        """What is read already and not beyond `last`."""
        taken = [item for item in self.items if last is None or item["sk"] <= last]
        self.items = self.items[len(taken) :]
        return taken


async def ordered(
    table: Table, partitions: Sequence[str], after: int = -1, page: int = FIRST_PAGE
) -> AsyncIterator[Item]:
    """Items of indices greater than `after`. A partition's keys ascend with the index."""
    start = keys.index(after) if after >= 0 else None
    readers = [_Reader(table, pk, start, max(1, page // len(partitions))) for pk in partitions]
    while readers:
        await asyncio.gather(*(reader.fill() for reader in readers))
        open_ = [reader for reader in readers if not reader.done]
        # Up to here nothing can come that was not read yet.
        last = min((reader.items[-1]["sk"] for reader in open_), default=None)
        found = [item for reader in readers for item in reader.take(last)]
        for item in sorted(found, key=_order):
            yield item
        readers = [reader for reader in readers if reader.items or not reader.done]


def _order(item: Item) -> str:
    return str(item["sk"])
