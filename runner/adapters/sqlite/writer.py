"""Group commit: all writes asked for meanwhile share one transaction, and are answered once it is on disk.

Statements run on the event loop, which is quicker than handing each to a thread and taking the interpreter's
lock back from it; only the commit, which waits for the disk, goes to a thread. Long writes go there whole.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress

from runner.adapters.sqlite import group, trouble
from runner.adapters.sqlite.group import Haste, Request, T, Work

# Between two tries to get a lock that another process has, in seconds.
FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.05

# How long a write that may wait waits for company, in seconds.
COMPANY = 0.01


class Writer:
    """Writes to one connection from one event loop. Without `threads` it all happens on the loop, at once.

    `patience`: seconds a write may wait for another process's lock. `idle` is set when nothing is to do.
    """

    def __init__(
        self, connection: sqlite3.Connection, file: str, threads: Executor | None, patience: float
    ) -> None:
        self.idle = asyncio.Event()
        self.idle.set()
        self._connection = connection
        self._file = file
        self._threads = threads
        self._patience = patience
        self._waiting: list[Request] = []
        self._active = False
        self._timer: asyncio.TimerHandle | None = None
        self._pause = FIRST_PAUSE

    async def run(self, work: Work[T], haste: Haste) -> T:
        """The result of `work`, once it is on disk. Its exception, or StorageError, if it is not.

        `work` may be called more than once, each time from the same state: it must do nothing but talk to the
        connection. A cancelled caller waits for what is under way: afterwards it is done, or never will be.
        """
        loop = asyncio.get_running_loop()
        request = Request(work, loop.create_future(), loop.time(), haste)
        self._waiting.append(request)
        if not self._active:
            self._schedule(loop)
        try:
            return await request.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            if request.under_way:
                request.abandoned = True
                request.future = loop.create_future()
                with suppress(Exception):
                    await request.future
            raise

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the waiting written: soon, or when those who can wait for company have done so."""
        self.idle.clear()
        if self._threads is None or any(request.haste is not Haste.WHENEVER for request in self._waiting):
            self._active = True
            loop.call_soon(self._next, loop)
        elif self._timer is None:
            self._timer = loop.call_later(COMPANY, self._no_company, loop)

    def _no_company(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._active:
            self._active = True
            self._next(loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        requests = [request for request in self._waiting if not request.future.cancelled()]
        self._waiting = []
        if not requests:
            self._done(requests, None, loop)
            return
        for request in requests:
            request.under_way = True
        if self._threads is None:
            self._done(requests, self._write(requests), loop)
        elif any(request.haste is Haste.LONG for request in requests):
            self._threads.submit(self._in_thread, self._write, requests, loop)
        elif (error := self._run(requests)) is None:
            self._threads.submit(self._in_thread, self._commit, requests, loop)
        else:
            self._done(requests, error, loop)

    def _run(self, requests: Sequence[Request]) -> sqlite3.Error | None:
        return group.run(self._connection, self._file, requests)

    def _commit(self, _: Sequence[Request]) -> sqlite3.Error | None:
        return group.commit(self._connection)

    def _write(self, requests: Sequence[Request]) -> sqlite3.Error | None:
        return self._run(requests) or self._commit(requests)

    def _in_thread(
        self,
        step: Callable[[Sequence[Request]], sqlite3.Error | None],
        requests: Sequence[Request],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        error = step(requests)
        with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
            loop.call_soon_threadsafe(self._done, requests, error, loop)

    def _done(
        self, requests: Sequence[Request], error: sqlite3.Error | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        if error is not None and trouble.is_busy(error):
            self._wait_for_lock(requests, error, loop)
            return
        self._pause = FIRST_PAUSE
        for request in requests:
            if error is not None:
                request.error = request.error or trouble.explain(error, self._file) or error
            request.answer()
        self._active = False
        if self._waiting:
            # Runs behind those who were just answered, so that what they write next joins the group.
            self._schedule(loop)
        elif self._timer is None:
            self.idle.set()

    def _wait_for_lock(
        self, requests: Sequence[Request], error: sqlite3.Error, loop: asyncio.AbstractEventLoop
    ) -> None:
        kept = []
        for request in requests:
            if request.abandoned or loop.time() - request.since >= self._patience:
                request.error = trouble.explain(error, self._file)
                request.answer()
            else:
                request.under_way, request.error = False, None
                kept.append(request)
        self._waiting[:0] = kept
        loop.call_later(self._pause, self._next, loop)
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
