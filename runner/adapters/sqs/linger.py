"""Things to be sent that wait a while for company, since a request of ten costs as much as one of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from runner.adapters.sqs.batches import MOST

T = TypeVar("T")

Send = Callable[[str, Sequence[T]], Awaitable[None]]


class Group(Generic[T]):
    """What will be sent together. `by`: the loop's time at which that is at the latest."""

    def __init__(self, by: float, timer: asyncio.TimerHandle) -> None:
        self.items: list[T] = []
        self.by = by
        self.timer = timer
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Linger(Generic[T]):
    def __init__(self, send: Send[T]) -> None:
        self._send = send
        self._groups: dict[str, Group[T]] = {}
        self._under_way: dict[asyncio.Task[None], Group[T]] = {}

    def add(self, name: str, items: Sequence[T], by: float) -> asyncio.Future[None]:
        """Send `items` to the queue of that name, at the latest at `by`. The future is done when they are sent, or
        that failed."""
        loop = asyncio.get_running_loop()
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(by, loop.call_at(by, self._start, name))
        elif by < group.by:
            group.timer.cancel()
            group.by, group.timer = by, loop.call_at(by, self._start, name)
        group.items.extend(items)
        if len(group.items) >= MOST or by <= loop.time():
            self._start(name)
        return group.sent

    def withdraw(self, gone: Callable[[T], bool]) -> None:
        """They leave what waits, and also the lists that `send` was given, which may have sent them by then."""
        for group in (*self._groups.values(), *self._under_way.values()):
            group.items[:] = [item for item in group.items if not gone(item)]

    async def flush(self) -> None:
        """Send what waits, and wait for all that is under way."""
        for name in list(self._groups):
            self._start(name)
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    def _start(self, name: str) -> None:
        group = self._groups.pop(name)
        group.timer.cancel()
        task = asyncio.create_task(self._carry_out(name, group))
        self._under_way[task] = group
        task.add_done_callback(self._under_way.pop)

    async def _carry_out(self, name: str, group: Group[T]) -> None:
        try:
            await self._send(name, group.items)
        except Exception as error:
            _settle(group.sent, error)
        except BaseException:
            group.sent.cancel()
            raise
        else:
            _settle(group.sent, None)


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # nobody may be waiting for it
