"""Wakes the coroutines of one process that wait for something to change."""

from __future__ import annotations

import asyncio


class Signal:
    """Who looks, sees nothing and waits, without awaiting anything else in between, misses nothing."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        for waiting in self._waiting:
            _wake(waiting)

    async def wait(self, seconds: float) -> None:
        """Until notified, at most so long."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        # A timer and not `timeout`: that would cancel, which costs many times as much, twenty times a second.
        timer = loop.call_later(seconds, _wake, woken)
        self._waiting.add(woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.discard(woken)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
