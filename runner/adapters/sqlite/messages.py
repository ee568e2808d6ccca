"""The queue's statements. A message is in the table until it is completed or quarantined.

`visible_at` is when it may be received; `token` is that of its last receive, and None when nobody holds it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runner.adapters.sqlite.text import storable
from runner.codec import DecodeError, decode_pointer, encode_pointer
from runner.model import Lease, TaskId
from runner.records import Backlog


@dataclass(frozen=True, slots=True)
class Taking:
    """One receive: up to `limit` messages visible at `now` become `token`'s, hidden until `hidden_until`."""

    queues: Sequence[str]
    limit: int
    token: str
    now: float
    hidden_until: float


class Taken(NamedTuple):
    id: int
    queue: str
    task: TaskId
    receives: int


def send(connection: sqlite3.Connection, *, queue: str, tasks: Sequence[TaskId], visible_at: float) -> None:
    connection.executemany(
        "INSERT INTO messages (queue, visible_at, body) VALUES (?, ?, ?)",
        [(queue, visible_at, encode_pointer(task)) for task in tasks],
    )


def earliest(connection: sqlite3.Connection, *, queues: Sequence[str]) -> float | None:
    """When the next message of any of the queues is or was visible; None if there is none."""
    found = [
        connection.execute("SELECT min(visible_at) FROM messages WHERE queue = ?", (queue,)).fetchone()[0]
        for queue in queues
    ]
    return min((time for time in found if time is not None), default=None)


def take(connection: sqlite3.Connection, *, taking: Taking) -> Sequence[Taken]:
    taken: list[Taken] = []
    for queue in taking.queues:
        while (limit := taking.limit - len(taken)) > 0:
            good, bad = _take_from(connection, queue, taking, limit)
            taken.extend(good)
            if not bad:
                break
    return taken


def _take_from(
    connection: sqlite3.Connection, queue: str, taking: Taking, limit: int
) -> tuple[Sequence[Taken], int]:
    """What was taken, and how many more could not be read."""
    rows = connection.execute(
        """
        UPDATE messages SET visible_at = ?, token = ?, receives = receives + 1
        WHERE id IN (
            SELECT id FROM messages WHERE queue = ? AND visible_at <= ? ORDER BY visible_at, id LIMIT ?
        )
        RETURNING id, receives, CAST(body AS BLOB)
        """,
        (taking.hidden_until, taking.token, queue, taking.now, limit),
    ).fetchall()
    taken = []
    for identity, receives, body in rows:
        try:
            taken.append(Taken(identity, queue, decode_pointer(body), receives))
        except DecodeError as error:
            _quarantine(connection, identity, str(error), taking.now)
    return taken, len(rows) - len(taken)


def quarantine(connection: sqlite3.Connection, *, lease: Lease, reason: str, at: float) -> None:
    if _held(connection, lease):
        _quarantine(connection, int(lease.message_id), reason, at)


def _quarantine(connection: sqlite3.Connection, identity: int, reason: str, at: float) -> None:
    connection.execute(
        """
        INSERT INTO dead_letters (id, queue, body, receives, reason, at)
        SELECT id, queue, body, receives, ?, ? FROM messages WHERE id = ?
        """,
        (storable(reason), at, identity),
    )
    connection.execute("DELETE FROM messages WHERE id = ?", (identity,))


def put_back(connection: sqlite3.Connection, *, taking: Taking) -> None:
    """Undo a taking that nobody heard of."""
    for queue in taking.queues:
        connection.execute(
            """
            UPDATE messages SET visible_at = ?, token = NULL, receives = receives - 1
            WHERE queue = ? AND visible_at = ? AND token = ?
            """,
            (taking.now, queue, taking.hidden_until, taking.token),
        )


def extend(connection: sqlite3.Connection, *, leases: Sequence[Lease], visible_at: float) -> Sequence[Lease]:
    extended = connection.executemany(
        "UPDATE messages SET visible_at = ? WHERE id = ? AND token = ?",
        [(visible_at, int(lease.message_id), lease.token) for lease in leases],
    )
    if extended.rowcount == len(leases):
        return ()
    return [lease for lease in leases if not _held(connection, lease)]


def _held(connection: sqlite3.Connection, lease: Lease) -> bool:
    held = connection.execute(
        "SELECT 1 FROM messages WHERE id = ? AND token = ?", (int(lease.message_id), lease.token)
    )
    return held.fetchone() is not None


def complete(connection: sqlite3.Connection, *, leases: Sequence[Lease]) -> None:
    connection.executemany(
        "DELETE FROM messages WHERE id = ? AND token = ?",
        [(int(lease.message_id), lease.token) for lease in leases],
    )


def release(connection: sqlite3.Connection, *, lease: Lease, visible_at: float) -> None:
    connection.execute(
        "UPDATE messages SET visible_at = ?, token = NULL WHERE id = ? AND token = ?",
        (visible_at, int(lease.message_id), lease.token),
    )


def backlog(connection: sqlite3.Connection, *, queues: Sequence[str], now: float) -> dict[str, Backlog]:
    return {queue: _depth(connection, queue, now) for queue in queues}


def _depth(connection: sqlite3.Connection, queue: str, now: float) -> Backlog:
    # The hidden ones are few and need their rows; the visible may be many and are counted in the index alone.
    hidden, held = connection.execute(
        "SELECT count(*), count(token) FROM messages WHERE queue = ? AND visible_at > ?", (queue, now)
    ).fetchone()
    (visible,) = connection.execute(
        "SELECT count(*) FROM messages WHERE queue = ? AND visible_at <= ?", (queue, now)
    ).fetchone()
    return Backlog(visible=visible, in_flight=held, delayed=hidden - held, as_of=now)
