"""How far a job is enqueued: what to send next, what was sent, what of that has not ended.

A task is sent when its position is below the cursor, unless it was reopened since. Of those, the ones with a
row say so (REOPENED); the never begun are the positions without a row in the gap, which closes from below.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import NamedTuple

from runner.adapters.sqlite import jobs
from runner.array import Array
from runner.records import Window

CHUNK = 10_000


class Cursor(NamedTuple):
    number: int
    array: Array
    round: int
    sent: int
    gap: int
    gap_end: int
    waiting: bool
    ended: bool
    over: bool


def _cursor(connection: sqlite3.Connection, job_id: str) -> Cursor | None:
    job = jobs.job(connection, job_id=job_id)
    if job is None:
        return None
    row = connection.execute(
        """
        SELECT job, round, sent, gap, gap_end, released_at IS NULL, ended_at IS NOT NULL, over
        FROM jobs JOIN progress USING (job) WHERE jobs.id = ?
        """,
        (job.id,),
    ).fetchone()
    return Cursor(row[0], job.array, *row[1:])


class Plan(NamedTuple):
    """What to send next. `gap_filled`: by now all of the gap was begun, and need not be searched again."""

    window: Window
    gap_filled: bool = False


def unsent(connection: sqlite3.Connection, *, job_id: str, most: int) -> Plan:
    cursor = _cursor(connection, job_id)
    record = jobs.record(connection, job_id=job_id)
    if cursor is None or record is None:
        return Plan(Window((), 0))
    limit = most - record.queued
    if cursor.waiting or cursor.ended or limit <= 0:
        return Plan(Window((), cursor.sent, cursor.round))
    reopened = _with_status(connection, cursor.number, "REOPENED", -1, limit)
    gaps = list(islice(_never_begun(connection, cursor, cursor.gap, cursor.gap_end), limit - len(reopened)))
    fresh = cursor.array.window(cursor.sent, limit - len(reopened) - len(gaps))
    # A task may be begun before the cursor passes it; reopened, it would be in the window twice.
    indices = tuple(dict.fromkeys(reopened + gaps + fresh))
    return Plan(
        Window(indices, cursor.sent + len(fresh), cursor.round),
        gap_filled=cursor.gap < cursor.gap_end and not gaps and len(reopened) < limit,
    )


def close_gap(connection: sqlite3.Connection, *, job_id: str, round_: int) -> None:
    connection.execute(
        "UPDATE progress SET gap = gap_end WHERE job = (SELECT job FROM jobs WHERE id = ?) AND round = ?",
        (job_id, round_),
    )


def sent(connection: sqlite3.Connection, *, job_id: str, window: Window) -> None:
    cursor = _cursor(connection, job_id)
    if cursor is None or window.round != cursor.round or cursor.ended:
        return
    again = _mark_reopened(connection, cursor, window)
    gap = cursor.gap
    if cursor.gap < cursor.gap_end:
        filled = [i for i in window.indices if _in_gap(connection, cursor, i)]
        gap = cursor.array.rank(filled[-1]) + 1 if filled else gap
        again += len(filled)
    connection.execute(
        "UPDATE progress SET sent = max(sent, ?), gap = ?, resend = resend - ? WHERE job = ?",
        (window.cursor, gap, again, cursor.number),
    )


def _mark_reopened(connection: sqlite3.Connection, cursor: Cursor, window: Window) -> int:
    if not _with_status(connection, cursor.number, "REOPENED", -1, 1):
        return 0
    marked = connection.executemany(
        "UPDATE tasks SET status = 'RUNNABLE' WHERE job = ? AND idx = ? AND status = 'REOPENED'",
        [(cursor.number, index) for index in window.indices],
    )
    return marked.rowcount


def _in_gap(connection: sqlite3.Connection, cursor: Cursor, index: int) -> bool:
    if not cursor.gap <= cursor.array.rank(index) < cursor.gap_end:
        return False
    row = connection.execute("SELECT 1 FROM tasks WHERE job = ? AND idx = ?", (cursor.number, index))
    return row.fetchone() is None


def outstanding(connection: sqlite3.Connection, *, job_id: str, limit: int, after: int) -> Sequence[int]:
    cursor = _cursor(connection, job_id)
    if cursor is None or cursor.over:
        return ()
    running = _with_status(connection, cursor.number, "RUNNING", after, limit)
    if cursor.ended:
        return running
    runnable = _with_status(connection, cursor.number, "RUNNABLE", after, limit)
    return list(islice(merge(running, runnable, _sent_never_begun(connection, cursor, after)), limit))


def _sent_never_begun(connection: sqlite3.Connection, cursor: Cursor, after: int) -> Iterator[int]:
    start = cursor.array.rank(after + 1)
    if cursor.gap < cursor.gap_end:
        yield from _never_begun(connection, cursor, start, min(cursor.gap, cursor.sent))
        start = max(start, cursor.gap_end)
    yield from _never_begun(connection, cursor, start, cursor.sent)


def _never_begun(connection: sqlite3.Connection, cursor: Cursor, start: int, end: int) -> Iterator[int]:
    """The indices at positions from `start` to below `end` that have no row, held a chunk at a time."""
    while start < end:
        indices = cursor.array.window(start, min(CHUNK, end - start))
        start += len(indices)
        key = (cursor.number, indices[0], indices[-1])
        (begun,) = connection.execute(
            "SELECT count(*) FROM tasks WHERE job = ? AND idx BETWEEN ? AND ?", key
        ).fetchone()
        if begun < len(indices):
            rows = connection.execute("SELECT idx FROM tasks WHERE job = ? AND idx BETWEEN ? AND ?", key)
            present = {index for (index,) in rows}
            yield from (index for index in indices if index not in present)


def _with_status(
    connection: sqlite3.Connection, number: int, status: str, after: int, limit: int
) -> list[int]:
    rows = connection.execute(
        """
        SELECT idx FROM tasks INDEXED BY tasks_unsuccessful
        WHERE job = ? AND status = ? AND status <> 'SUCCEEDED' AND idx > ? ORDER BY idx LIMIT ?
        """,
        (number, status, after, limit),
    )
    return [index for (index,) in rows]
