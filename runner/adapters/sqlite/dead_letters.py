"""Messages that could not be read, in their own table. Here nothing is moved there for being received too often."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import partial

from runner.adapters.sqlite.database import Database
from runner.codec import DecodeError, decode_pointer
from runner.model import TaskId
from runner.ports import Clock
from runner.records import DeadLetter

# Parameters in one statement; far below SQLite's own limit.
AT_ONCE = 500


class SqliteDeadLetters:
    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def list(self, limit: int = 1000) -> Sequence[DeadLetter]:
        return await self._database.read(partial(_listing, limit=limit))

    async def replay(self, ids: Collection[str]) -> Sequence[DeadLetter]:
        replayed = await self._database.write(partial(_replay, ids=_numbers(ids), visible_at=self._now()))
        self._database.arrivals.notify()
        return replayed

    async def drop(self, ids: Collection[str]) -> Sequence[DeadLetter]:
        return await self._database.write(partial(_drop, ids=_numbers(ids)))


def _numbers(ids: Collection[str]) -> Sequence[int]:
    """Those that can be ids of ours."""
    return [int(each) for each in ids if each.isdecimal() and len(each) < 19]


def _listing(connection: sqlite3.Connection, *, limit: int) -> Sequence[DeadLetter]:
    rows = connection.execute(
        "SELECT id, queue, body, reason, receives, at FROM dead_letters ORDER BY id LIMIT ?", (limit,)
    )
    return [_letter(*row) for row in rows]


def _replay(connection: sqlite3.Connection, *, ids: Sequence[int], visible_at: float) -> Sequence[DeadLetter]:
    letters = _drop(connection, ids=ids)
    connection.executemany(
        "INSERT INTO messages (queue, visible_at, body) VALUES (?, ?, ?)",
        [(letter.queue, visible_at, letter.body) for letter in letters],
    )
    return letters


def _drop(connection: sqlite3.Connection, *, ids: Sequence[int]) -> Sequence[DeadLetter]:
    dropped: list[DeadLetter] = []
    for part in _parts(ids):
        rows = connection.execute(
            f"""
            DELETE FROM dead_letters WHERE id IN ({", ".join("?" * len(part))})
            RETURNING id, queue, body, reason, receives, at
            """,  # noqa: S608  # question marks only
            part,
        ).fetchall()
        dropped += [_letter(*row) for row in rows]
    return dropped


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]


def _letter(identity: int, queue: str, body: str, reason: str, receives: int, at: float) -> DeadLetter:
    return DeadLetter(str(identity), queue, body, reason, receives, at, _task(body))


def _task(body: str) -> TaskId | None:
    """None for what put it here; a newer version may be able to read it."""
    try:
        return decode_pointer(body)
    except DecodeError:
        return None
