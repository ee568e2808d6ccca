"""`runner.ports.Queue` over one table of messages. Times in it are wall-clock: they must outlive us."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from runner.adapters.sqlite import messages
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.group import Haste
from runner.errors import StorageError
from runner.model import Lease, TaskId
from runner.ports import Clock
from runner.records import Backlog

# How often a waiting receiver looks whether another process sent something, in seconds.
LOOK = 0.05

# Every so many receives the queues are served in reverse, so that the lowest priority still moves.
REVERSE_EVERY = 10

LONG_SEND = 200


class SqliteQueue:
    """`queues` maps each queue's name to its priority: higher is served first, equals in turn. Every tenth
    receive goes the other way round, so that a busy high queue slows the low ones and never stops them.
    """

    def __init__(self, database: Database, now: Clock, queues: Mapping[str, int]) -> None:
        self._database = database
        self._now = now
        self._priorities = dict(queues)
        self._turn = 0

    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:
        work = partial(messages.send, queue=queue, tasks=tasks, visible_at=self._now() + delay)
        await self._database.write(work, haste=Haste.LONG if len(tasks) > LONG_SEND else Haste.SOON)
        self._database.arrivals.notify()

    async def receive(self, limit: int, *, wait: float, hide: float) -> Sequence[Lease]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        order = self._order()
        while True:
            earliest = self._database.peek(partial(messages.earliest, queues=order))
            due = earliest is not None and earliest <= self._now()
            if due and (leases := await self._take(order, limit, hide)):
                return leases
            left = deadline - loop.time()
            if left <= 0:
                return ()
            if not due:  # else another was quicker
                await self._wait(left, earliest)

    async def extend(self, leases: Sequence[Lease], hide: float) -> Sequence[Lease]:
        return await self._database.write(
            partial(messages.extend, leases=leases, visible_at=self._now() + hide)
        )

    async def complete(self, leases: Sequence[Lease]) -> None:
        # Nobody waits for it, and if it were lost the ledger would settle the duplicate.
        await self._database.write(partial(messages.complete, leases=leases), haste=Haste.WHENEVER)

    async def release(self, lease: Lease, delay: float = 0.0) -> None:
        await self._database.write(partial(messages.release, lease=lease, visible_at=self._now() + delay))
        self._database.arrivals.notify()

    async def quarantine(self, lease: Lease, reason: str) -> None:
        work = partial(messages.quarantine, lease=lease, reason=reason, at=self._now())
        await self._database.write(work)

    async def backlog(self) -> Mapping[str, Backlog]:
        work = partial(messages.backlog, queues=tuple(self._priorities), now=self._now())
        return await self._database.read(work)

    def _order(self) -> Sequence[str]:
        """The queues' names in the order in which this receive serves them."""
        self._turn += 1
        names = list(self._priorities)
        shift = self._turn % len(names) if names else 0
        turned = names[shift:] + names[:shift]
        reverse = self._turn % REVERSE_EVERY == 0
        return sorted(turned, key=self._priorities.__getitem__, reverse=not reverse)

    async def _take(self, order: Sequence[str], limit: int, hide: float) -> Sequence[Lease]:
        """What can be had now. If cancelled meanwhile, it is put back, not left hidden."""
        asked_at = asyncio.get_running_loop().time()
        taking = messages.Taking(order, limit, secrets.token_hex(8), self._now(), self._now() + hide)
        try:
            taken = await self._database.write(partial(messages.take, taking=taking))
        except asyncio.CancelledError:
            with suppress(StorageError):  # then they show when their time is over
                await self._database.write(partial(messages.put_back, taking=taking))
            self._database.arrivals.notify()
            raise
        return [
            Lease(
                task=each.task,
                queue=each.queue,
                message_id=str(each.id),
                token=taking.token,
                receives=each.receives,
                hidden_until=asked_at + hide,
            )
            for each in taken
        ]

    async def _wait(self, left: float, earliest: float | None) -> None:
        """Until something may have come: by this process, by another, or because a hidden message shows."""
        if self._database.shared:
            left = min(left, LOOK)
        if earliest is not None:
            left = min(left, max(0.0, earliest - self._now()))
        await self._database.arrivals.wait(left)
