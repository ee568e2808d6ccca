"""Writing how an attempt ended: its task's row and its job's sums, in one transaction."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from runner.adapters.sqlite.text import storable
from runner.codec import encode_outcome
from runner.model import Outcome


class Settled(NamedTuple):
    """How an attempt ended and what that makes of its task. Its failures are added to those the task had."""

    status: str
    outcome: Outcome
    at: float
    reason: str = ""
    user_failures: int = 0
    infra_failures: int = 0
    not_before: float | None = None
    memory: int | None = None


def settle(connection: sqlite3.Connection, job: int, index: int, attempt: int, settled: Settled) -> bool:
    """False, and nothing is written, unless the attempt is the current one and runs."""
    updated = connection.execute(
        """
        UPDATE tasks SET status = ?, outcome = ?, reason = ?, not_before = ?, memory = coalesce(?, memory),
            user_failures = user_failures + ?, infra_failures = infra_failures + ?
        WHERE job = ? AND idx = ? AND attempt = ? AND status = 'RUNNING'
        """,
        (
            settled.status,
            encode_outcome(settled.outcome),
            storable(settled.reason) if settled.reason else None,
            settled.not_before,
            settled.memory,
            settled.user_failures,
            settled.infra_failures,
            job,
            index,
            attempt,
        ),
    )
    if updated.rowcount != 1:
        return False
    _add_up(connection, job, settled)
    return True


def _add_up(connection: sqlite3.Connection, job: int, settled: Settled) -> None:
    outcome = settled.outcome
    finished = settled.at if outcome.finished_at is None else outcome.finished_at
    connection.execute(
        """
        UPDATE progress SET
            succeeded = succeeded + ?, failed = failed + ?, cancelled = cancelled + ?,
            task_seconds = task_seconds + ?, cpu_seconds = cpu_seconds + ?,
            peak_memory = nullif(max(coalesce(peak_memory, -1), ?), -1),
            first_started_at = min(coalesce(first_started_at, 1e999), ?),
            last_finished_at = max(coalesce(last_finished_at, 0), ?)
        WHERE job = ?
        """,
        (
            settled.status == "SUCCEEDED",
            settled.status == "FAILED",
            settled.status == "CANCELLED",
            outcome.duration or 0.0,
            outcome.usage.cpu_seconds or 0.0,
            -1 if outcome.usage.peak_memory is None else outcome.usage.peak_memory,
            finished if outcome.started_at is None else outcome.started_at,
            finished,
            job,
        ),
    )
    close_if_over(connection, job)


def close_if_over(connection: sqlite3.Connection, job: int) -> None:
    """Take the job out of the unfinished, if all its tasks ended, or it ended as a whole and nothing runs.

    Looks first: to write it with every finish would cost a page of the index in every commit.
    """
    (over,) = connection.execute(
        """
        SELECT succeeded + failed + cancelled >= size OR ended_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM tasks INDEXED BY tasks_unsuccessful
            WHERE tasks.job = progress.job AND status = 'RUNNING' AND status <> 'SUCCEEDED'
        )
        FROM progress WHERE job = ?
        """,
        (job,),
    ).fetchone()
    if over:
        connection.execute("UPDATE progress SET over = 1 WHERE job = ?", (job,))
