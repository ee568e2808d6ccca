"""What one beat of an agent asks and says about the attempts it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

from runner.codec import encode_metadata
from runner.model import Attempt


def touch(connection: sqlite3.Connection, *, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    touched = connection.executemany(
        """
        UPDATE tasks SET beat = beat + 1
        WHERE job = (SELECT job FROM jobs WHERE id = ?) AND idx = ? AND attempt = ? AND status = 'RUNNING'
        """,
        [_key(attempt) for attempt in attempts],
    )
    if touched.rowcount == len(attempts):
        return ()
    return [attempt for attempt in attempts if not _current(connection, attempt)]


def _current(connection: sqlite3.Connection, attempt: Attempt) -> bool:
    current = connection.execute(
        """
        SELECT 1 FROM tasks
        WHERE job = (SELECT job FROM jobs WHERE id = ?) AND idx = ? AND attempt = ? AND status = 'RUNNING'
        """,
        _key(attempt),
    )
    return current.fetchone() is not None


def annotate(connection: sqlite3.Connection, *, attempt: Attempt, metadata: Mapping[str, str]) -> None:
    connection.execute(
        """
        UPDATE tasks SET metadata = ?
        WHERE job = (SELECT job FROM jobs WHERE id = ?) AND idx = ? AND attempt = ? AND status = 'RUNNING'
        """,
        (encode_metadata(metadata), *_key(attempt)),
    )


def ended(connection: sqlite3.Connection, *, job_ids: Collection[str]) -> Collection[str]:
    """Those of the jobs that ended as a whole."""
    sql = "SELECT 1 FROM jobs JOIN progress USING (job) WHERE jobs.id = ? AND ended_at IS NOT NULL"
    return {job_id for job_id in job_ids if connection.execute(sql, (job_id,)).fetchone()}


def _key(attempt: Attempt) -> tuple[str, int, int]:
    return attempt.task.job_id, attempt.task.index, attempt.number
