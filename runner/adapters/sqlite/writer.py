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
from typing import Any, TypeVar

from runner.adapters.sqlite import trouble

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.05


class _Request:
    __slots__ = ("abandoned", "answered", "error", "future", "long", "result", "since", "started", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any], since: float, *, long: bool) -> None:
        self.work = work
        self.future = future
        self.since = since
        self.long = long
        self.started = False
        self.abandoned = False
        self.answered = False
        self.result: Any = None
        self.error: Exception | None = None

    def answer(self) -> None:
        self.answered = True
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """Writes to one connection from one event loop. Without `threads` everything happens on the loop.

    `patience`: seconds a write may wait for another process's lock.
    """

    def __init__(
        self, connection: sqlite3.Connection, file: str, threads: Executor | None, patience: float
    ) -> None:
        self._connection = connection
        self._file = file
        self._threads = threads
        self._patience = patience
        self._waiting: list[_Request] = []
        self.idle = asyncio.Event()
        self.idle.set()
        self._pause = FIRST_PAUSE

    async def run(self, work: Work[T], *, long: bool = False) -> T:
        """The result of `work`, once it is on disk. Its exception, or StorageError, if it is not.

        `work` may be called more than once, each time from the same state: it must do nothing but talk to the
        connection. A cancelled caller waits for what is under way: afterwards it is done, or never will be.
        """
        loop = asyncio.get_running_loop()
        request = _Request(work, loop.create_future(), loop.time(), long=long)
        self._waiting.append(request)
        if self.idle.is_set():
            self.idle.clear()
            loop.call_soon(self._next, loop)
        try:
            return await request.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            # It may have been answered in the same moment: then there is nothing left to wait for.
            if request.started and not request.answered:
                request.abandoned = True
                request.future = loop.create_future()
                with suppress(Exception):
                    await request.future
            raise

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        group = [request for request in self._waiting if not request.future.cancelled()]
        self._waiting = []
        if not group:
            self.idle.set()
            return
        for request in group:
            request.started = True
        if self._threads is None:
            self._run_and_commit(group, loop)
        elif any(request.long for request in group):
            self._threads.submit(self._run_and_commit, group, loop)
        elif self._run(group, loop):
            self._threads.submit(self._commit, group, loop)

    def _run_and_commit(self, group: Sequence[_Request], loop: asyncio.AbstractEventLoop) -> None:
        if self._run(group, loop):
            self._commit(group, loop)

    def _run(self, group: Sequence[_Request], loop: asyncio.AbstractEventLoop) -> bool:
        """Do it all but commit. False: nothing was done, and the group is told why or waits for the lock."""
        try:
            # One that fails is rare enough to start again without it, instead of a savepoint for each.
            while not self._try(group):
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._roll_back()
            _call(loop, self._wait_for_lock if trouble.is_busy(error) else self._give_up, group, error, loop)
            return False
        return True

    def _try(self, group: Sequence[_Request]) -> bool:
        """One transaction with all of the group in it, left open. False: one failed and spoilt it."""
        self._connection.execute("BEGIN IMMEDIATE")
        for request in group:
            if request.error is not None:
                continue
            try:
                request.result = request.work(self._connection)
            except Exception as error:
                explained = trouble.explain(error, self._file)
                if explained is not None and isinstance(error, sqlite3.Error):
                    raise  # not this one's fault, and the others would fare no better
                request.error = explained or error
                return False
        return True

    def _commit(self, group: Sequence[_Request], loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            _call(loop, self._give_up, group, error, loop)
        else:
            _call(loop, self._settle, group, loop)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _settle(self, group: Sequence[_Request], loop: asyncio.AbstractEventLoop) -> None:
        self._pause = FIRST_PAUSE
        for request in group:
            request.answer()
        # Behind those who were just answered, so that what they write next joins the next group.
        loop.call_soon(self._next, loop)

    def _give_up(
        self, group: Sequence[_Request], error: sqlite3.Error, loop: asyncio.AbstractEventLoop
    ) -> None:
        known = trouble.explain(error, self._file)
        for request in group:
            request.error = request.error or known or error
        self._settle(group, loop)

    def _wait_for_lock(
        self, group: Sequence[_Request], error: sqlite3.Error, loop: asyncio.AbstractEventLoop
    ) -> None:
        kept = []
        for request in group:
            if request.abandoned or loop.time() - request.since >= self._patience:
                request.error = trouble.explain(error, self._file)
                request.answer()
            else:
                request.started, request.error = False, None
                kept.append(request)
        self._waiting[:0] = kept
        loop.call_later(self._pause, self._next, loop)
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)


def _call(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
        loop.call_soon_threadsafe(call, *args)
