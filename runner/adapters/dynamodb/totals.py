"""Adds up what this process does to tasks and writes it, a moment's worth at a time.

Sums are kept whole in memory and written whole, so writing them twice is harmless. An end is only reported as recorded
after the write that carries it; a beginning is not waited for. What a process that dies had not written yet is found
in the tasks' own records (see `recount`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from runner.adapters.dynamodb import keys, sums
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import End, Mark, Sums
from runner.adapters.dynamodb.table import Condition, Table
from runner.adapters.dynamodb.values import Item
from runner.errors import Unavailable

JOBS_REMEMBERED = 1000
# After a write that failed though it had been repeated.
PAUSE = 5.0


@dataclass(eq=False)
class Account:
    """One job's sums. `source` is never used for anything else; `open` counts the calls that may still add to it.

    `doubtful` holds the marks of writes that may or may not have been carried out, and were not counted.
    """

    job_id: str
    parts: int
    source: str
    sums: Sums = field(default_factory=Sums)
    written: int = 0
    open: int = 0
    calls: int = 0
    doubtful: set[str] = field(default_factory=set)

    @property
    def dirty(self) -> bool:
        return self.sums.events > self.written

    def mark(self) -> Mark:
        self.calls += 1
        return Mark(f"{self.source}.{self.calls}")

    def uncounted(self, mark: str | None, this: str) -> bool:
        """Whether a write that was found in the table is one of ours that is not in the sums yet: now it is."""
        if mark in self.doubtful:
            self.doubtful.remove(mark)
            return True
        return mark == this


class Totals:
    """`name`: this process's, never used by another. `linger`: seconds in which counts collect for one write."""

    def __init__(self, table: Table, name: str, linger: float, expires: Callable[[], int | None]) -> None:
        self._table = table
        self._name = name
        self._linger = linger
        self._expires = expires
        self._accounts: dict[str, Account] = {}
        self._made = 0
        self._writing = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._failure: Unavailable | None = None

    @contextmanager
    def account(self, standing_of: Standing) -> Iterator[Account]:
        """The job's sums, for as long as a call that may add to them lasts."""
        job_id = standing_of.job_id
        account = self._accounts.pop(job_id, None) or self._open(job_id, standing_of.parts)
        self._accounts[job_id] = account  # the latest used last
        account.open += 1
        try:
            yield account
        finally:
            account.open -= 1

    def begun(self, account: Account, index: int, number: int, at: float) -> None:
        account.sums.begin(index, number, at)
        self._soon()

    def ended(self, account: Account, end: End) -> None:
        account.sums.end(end)
        self._soon()

    async def carried(self, account: Account) -> None:
        """Until all that was counted so far is in the table. Raises Unavailable."""
        events = account.sums.events
        while account.written < events:
            await asyncio.shield(self._soon())
            if self._failure is not None and account.written < events:
                raise self._failure

    async def flush(self) -> None:
        """Write at once what is counted and not written yet."""
        async with self._writing:
            await asyncio.gather(*(self._write(account) for account in self._dirty()))

    def _soon(self) -> asyncio.Task[None]:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_later())
        return self._flushing

    async def _flush_later(self) -> None:
        await asyncio.sleep(self._linger if self._failure is None else max(self._linger, PAUSE))
        # From here on what is counted needs another write.
        self._flushing = None
        try:
            await self.flush()
            self._failure = None
        except Unavailable as error:
            self._failure = error
            self._soon()

    def _dirty(self) -> list[Account]:
        return [account for account in self._accounts.values() if account.dirty]

    async def _write(self, account: Account) -> None:
        events = account.sums.events
        item = item_of(account.job_id, account.parts, account.source, account.sums, self._expires())
        await put(self._table, item)
        account.written = max(account.written, events)

    def _open(self, job_id: str, parts: int) -> Account:
        if len(self._accounts) >= JOBS_REMEMBERED:
            self._forget()
        self._made += 1
        return Account(job_id, parts, f"{self._name}-{self._made}")

    def _forget(self) -> None:
        for job_id, account in list(self._accounts.items()):
            if not (account.dirty or account.open or account.sums.running):
                del self._accounts[job_id]
                return


def item_of(job_id: str, parts: int, source: str, counted: Sums, expires: int | None) -> Item:
    return {**keys.sums(job_id, parts, source)._asdict(), **sums.pack(counted), "expires": expires}


async def put(table: Table, item: Item) -> None:
    """Unless what stands there counts as many events: then it is these, or a recount was quicker and has them too."""
    fewer = Condition("attribute_not_exists(#n) OR #n < :n", {":n": item["n"]})
    await table.put(item, fewer)
