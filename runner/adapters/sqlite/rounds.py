"""What happens to a job as a whole: released, ended, opened again."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from runner.adapters.sqlite import jobs
from runner.adapters.sqlite.settling import close_if_over
from runner.adapters.sqlite.text import storable
from runner.array import Array
from runner.records import Ending

# Opening a task again, whichever is meant: its last attempt becomes history, its row begins anew.
_TO_HISTORY = """
    INSERT INTO attempts (job, idx, number, round, owner, begun_at, outcome)
    SELECT job, idx, attempt, round, owner, begun_at, outcome FROM tasks
"""
_ENDED = "AND outcome IS NOT NULL"
_ANEW = """
    SET status = 'REOPENED', round = (SELECT round FROM progress WHERE job = ?1), tries = 0,
        user_failures = 0, infra_failures = 0, not_before = NULL, outcome = NULL, reason = NULL, metadata = NULL
"""


def number_of(connection: sqlite3.Connection, job_id: str) -> int | None:
    """The job's number in the other tables."""
    row = connection.execute("SELECT job FROM jobs WHERE id = ?", (storable(job_id),)).fetchone()
    return row[0] if row else None


def release(connection: sqlite3.Connection, *, job_id: str, at: float) -> None:
    connection.execute(
        "UPDATE progress SET released_at = ? WHERE job = ? AND released_at IS NULL AND ended_at IS NULL",
        (at, number_of(connection, job_id)),
    )


def end(connection: sqlite3.Connection, *, job_id: str, ending: Ending) -> bool:
    number = number_of(connection, job_id)
    ended = connection.execute(
        """
        UPDATE progress SET ending = ?, ending_reason = ?, ended_at = ?, resend = 0, gap = 0, gap_end = 0
        WHERE job = ? AND over = 0 AND ended_at IS NULL
        """,
        (ending.status.value, storable(ending.reason), ending.at, number),
    )
    if number is None or ended.rowcount != 1:
        return False
    for waiting in ("RUNNABLE", "REOPENED"):
        cancelled = connection.execute(
            """
            UPDATE tasks INDEXED BY tasks_unsuccessful SET status = 'CANCELLED', reason = ?, not_before = NULL
            WHERE job = ? AND status = ? AND status <> 'SUCCEEDED'
            """,
            (storable(ending.reason), number, waiting),
        )
        connection.execute(
            "UPDATE progress SET cancelled = cancelled + ? WHERE job = ?", (cancelled.rowcount, number)
        )
    close_if_over(connection, number)
    return True


class _Before(NamedTuple):
    """A job before it is opened again."""

    number: int
    size: int
    sent: int
    ended_at: float | None
    succeeded: int
    failed: int
    cancelled: int


def reopen(connection: sqlite3.Connection, *, job_id: str, at: float) -> int:
    job = jobs.job(connection, job_id=job_id)
    if job is None:
        return 0
    row = connection.execute(
        """
        SELECT job, size, sent, ended_at, succeeded, failed, cancelled
        FROM jobs JOIN progress USING (job) WHERE jobs.id = ?
        """,
        (job.id,),
    ).fetchone()
    before = _Before(*row)
    rows = before.failed + before.cancelled
    others = _without_success(before)
    if rows + others == 0:
        return 0
    connection.execute(
        """
        UPDATE progress SET round = round + 1, resend = resend + ?, failed = 0, cancelled = 0, over = 0,
            released_at = ?, ending = NULL, ending_reason = NULL, ended_at = NULL
        WHERE job = ?
        """,
        (rows, None if job.after else at, before.number),
    )
    _reopen_rows(connection, before.number)
    if before.ended_at is not None:
        _open_gap(connection, before, job.array)
    return rows + others


def _without_success(before: _Before) -> int:
    """Because their job ended as a whole: tasks never begun, which count as cancelled, and those that still run."""
    if before.ended_at is None:
        return 0
    return before.size - before.succeeded - before.failed - before.cancelled


def _reopen_rows(connection: sqlite3.Connection, number: int) -> None:
    these = "WHERE job = ?1 AND status = ?2 AND status <> 'SUCCEEDED'"
    for ended in ("FAILED", "CANCELLED"):
        connection.execute(f"{_TO_HISTORY} INDEXED BY tasks_unsuccessful {these} {_ENDED}", (number, ended))
        connection.execute(f"UPDATE tasks INDEXED BY tasks_unsuccessful {_ANEW} {these}", (number, ended))


def reopen_one(connection: sqlite3.Connection, number: int, index: int) -> None:
    """What `reopen` would have done, had it found this task ended already."""
    this = "WHERE job = ?1 AND idx = ?2"
    connection.execute(f"{_TO_HISTORY} {this} {_ENDED}", (number, index))
    connection.execute(f"UPDATE tasks {_ANEW} {this}", (number, index))
    connection.execute("UPDATE progress SET resend = resend + 1 WHERE job = ?", (number,))


def _open_gap(connection: sqlite3.Connection, before: _Before, array: Array) -> None:
    """The messages of tasks sent and never begun were thrown away when the job had ended: send them again."""
    beyond = array.window(before.sent, 1)
    (begun,) = connection.execute(
        "SELECT count(*) FROM tasks WHERE job = ? AND idx < ?",
        (before.number, beyond[0] if beyond else array.spans[-1].stop),
    ).fetchone()
    connection.execute(
        "UPDATE progress SET gap = 0, gap_end = sent, resend = resend + sent - ? WHERE job = ?",
        (begun, before.number),
    )
