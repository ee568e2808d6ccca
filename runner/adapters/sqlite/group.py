"""Several writes in one transaction: each may fail by itself, the others reach the disk together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, TypeVar

from runner.adapters.sqlite import trouble

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Haste(Enum):
    SOON = 1
    WHENEVER = 2  # may wait a moment for another write to share its commit with
    LONG = 3  # soon, but off the event loop: it takes more than a few milliseconds


class Request:
    """One write. `since`: when it was asked for, in the loop's time; `abandoned`: its caller is gone."""

    __slots__ = ("abandoned", "error", "future", "haste", "result", "since", "under_way", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any], since: float, haste: Haste) -> None:
        self.work = work
        self.future = future
        self.since = since
        self.haste = haste
        self.under_way = False
        self.abandoned = False
        self.result: Any = None
        self.error: Exception | None = None

    def answer(self) -> None:
        self.under_way = False
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def run(connection: sqlite3.Connection, file: str, group: Sequence[Request]) -> sqlite3.Error | None:
    """All of the group in one transaction, left open; or the error because of which nothing was done."""
    try:
        # One that fails is rare enough to start again without it, instead of a savepoint for each.
        while not _try(connection, file, group):
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        _roll_back(connection)
        return error
    return None


def _try(connection: sqlite3.Connection, file: str, group: Sequence[Request]) -> bool:
    """False: one failed, and spoilt the transaction for the others."""
    connection.execute("BEGIN IMMEDIATE")
    for request in group:
        if request.error is not None:
            continue
        try:
            request.result = request.work(connection)
        except Exception as error:
            explained = trouble.explain(error, file)
            if explained is not None and isinstance(error, sqlite3.Error):
                raise  # not this one's fault, and the others would fare no better
            request.error = explained or error
            return False
    return True


def commit(connection: sqlite3.Connection) -> sqlite3.Error | None:
    """The error if nothing of it was written."""
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        return error
    return None


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
