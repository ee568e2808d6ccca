"""Writes of one item each that go out in company: a request of twenty-five is little more work than a request of one.

Nobody waits for company. A write goes out at once if none is under way; what comes meanwhile goes with the next. Each
has a condition, an answer and units of its own, for a lot is no transaction. Whatever goes wrong with a lot, its writes
are made again one by one, as if there were no lots: so what is wrong with one of them is that one's affair.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.adapters.dynamodb import statements
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.statements import Statement
from runner.adapters.dynamodb.table import ABSENT, Condition, Table, Written
from runner.adapters.dynamodb.values import Item, unpack
from runner.aws import AwsError, Reply

MOST = 25
# Seconds after which the next lot does not wait for this one: a reply that is lost shall not hold up other writes.
SLOW = 0.05


@dataclass(frozen=True, slots=True)
class _Write:
    """`alone` makes it as a request of its own."""

    statement: Statement
    alone: Callable[[Table], Awaitable[Written]]
    answer: asyncio.Future[Written] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, answer: Written | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Lots:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._again = table.again()
        self._waiting: deque[_Write] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._holding: asyncio.Task[None] | None = None  # the lot that others wait for
        self._woken = False

    async def insert(self, item: Item) -> Written:
        """Put it where there is none of its key."""
        statement = statements.insert(self._table.name, item)
        return await self._made(_Write(statement, lambda table: table.put(item, ABSENT)))

    async def update(self, key: Key, changes: Mapping[str, Any], condition: Condition) -> Written:
        """As `Table.update`; the condition is made of comparisons that all have to hold."""
        statement = statements.update(self._table.name, key, changes, condition)
        return await self._made(_Write(statement, lambda table: table.update(key, changes, condition)))

    async def _made(self, write: _Write) -> Written:
        self._waiting.append(write)
        if not self._woken and self._holding is None:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._send)  # so that what comes in this moment comes along
        try:
            return await asyncio.shield(write.answer)
        except asyncio.CancelledError:
            # It cannot be taken back: whoever goes on shall find it carried out, or not.
            if not write.answer.done():
                await asyncio.wait([write.answer])
            if not write.answer.cancelled():
                write.answer.exception()
            raise

    def _send(self) -> None:
        self._woken = False
        if self._holding is not None or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        lot = self._lot()
        sent = self._holding = loop.create_task(self._carry_out(lot))
        self._tasks.add(sent)
        slow = loop.call_later(SLOW, self._let_go, sent)

        def ended(task: asyncio.Task[None]) -> None:
            slow.cancel()
            self._tasks.discard(task)
            for write in lot:
                write.answer.cancel()  # only of those that have none, as the loop ends
            self._let_go(task)

        sent.add_done_callback(ended)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        if self._holding is task:
            self._holding = None
            self._send()

    def _lot(self) -> Sequence[_Write]:
        """What waited longest. No item twice, which is refused: its later write goes with a later lot."""
        lot: dict[Key, _Write] = {}
        later: list[_Write] = []
        while self._waiting and len(lot) < MOST:
            write = self._waiting.popleft()
            if lot.setdefault(write.statement.key, write) is not write:
                later.append(write)
        self._waiting.extendleft(reversed(later))
        return list(lot.values())

    async def _carry_out(self, lot: Sequence[_Write]) -> None:
        try:
            await (self._together(lot) if len(lot) > 1 else _alone(lot, self._table))
        except Exception as error:
            for write in lot:
                write.settle(error)

    async def _together(self, lot: Sequence[_Write]) -> None:
        """Nobody waits for another's write to be made again."""
        try:
            replies = await self._table.execute([write.statement.request() for write in lot])
        except AwsError:  # maybe for what one of them is
            left = lot
        else:
            pairs = list(zip(lot, replies, strict=True))
            left = [write for write, reply in pairs if not _settled(write, reply)]
        await _alone(left, self._again)


async def _alone(lot: Sequence[_Write], table: Table) -> None:
    await asyncio.gather(*(_by_itself(write, table) for write in lot))


async def _by_itself(write: _Write, table: Table) -> None:
    try:
        write.settle(await write.alone(table))
    except Exception as error:
        write.settle(error)


def _settled(write: _Write, reply: Reply) -> bool:
    """Not if only a request of its own tells more: because it was throttled, say, or to see what it met."""
    error = reply.get("Error")
    if error is None:
        write.settle(Written(True))
    elif error.get("Code") == "ConditionalCheckFailed" and "Item" in error:
        write.settle(Written(False, unpack(error["Item"])))
    return write.answer.done()
