"""Tasks and attempts as records."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from runner.adapters.sqlite.text import storable
from runner.codec import decode_metadata, decode_outcome
from runner.model import Status, TaskId
from runner.records import AttemptRecord, TaskRecord

_COLUMNS = """
    SELECT idx, status, round, attempt, tries, owner, user_failures, infra_failures, begun_at, not_before,
        memory, outcome, reason, metadata
"""


class _Row(NamedTuple):
    idx: int
    status: str
    round: int
    attempt: int
    tries: int
    owner: str
    user_failures: int
    infra_failures: int
    begun_at: float
    not_before: float | None
    memory: int | None
    outcome: str | None
    reason: str | None
    metadata: str | None


class _Job(NamedTuple):
    """`waiting`: for the jobs it comes after, so that what is runnable in the table is pending in truth."""

    id: str
    number: int
    waiting: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Of a job's begun tasks those with an index greater than `after` and one of `statuses`, all if None."""

    statuses: Collection[Status] | None
    after: int
    limit: int


def task(connection: sqlite3.Connection, *, task: TaskId) -> TaskRecord | None:
    job = _job(connection, task.job_id)
    if job is None:
        return None
    row = connection.execute(
        _COLUMNS + " FROM tasks WHERE job = ? AND idx = ?", (job.number, task.index)
    ).fetchone()
    return _record(job, _Row(*row)) if row else None


def tasks(connection: sqlite3.Connection, *, job_id: str, page: Page) -> Sequence[TaskRecord]:
    job = _job(connection, job_id)
    if job is None:
        return ()
    wanted = None if page.statuses is None else _stored(page.statuses, job)
    if wanted is None or "SUCCEEDED" in wanted:
        rows = _in_order(connection, job, page, wanted)
    else:
        parts = [_with_status(connection, job, page, status) for status in sorted(wanted)]
        rows = merge(*parts, key=attrgetter("idx"))
    return [_record(job, row) for row in islice(rows, page.limit)]


def _job(connection: sqlite3.Connection, job_id: str) -> _Job | None:
    row = connection.execute(
        """
        SELECT job, released_at IS NULL AND ended_at IS NULL
        FROM jobs JOIN progress USING (job) WHERE jobs.id = ?
        """,
        (storable(job_id),),
    ).fetchone()
    return _Job(job_id, row[0], bool(row[1])) if row else None


def _stored(statuses: Collection[Status], job: _Job) -> set[str]:
    """The statuses as they stand in the table."""
    stored = {status.value for status in statuses} - {"PENDING", "RUNNABLE"}
    if (Status.PENDING if job.waiting else Status.RUNNABLE) in statuses:
        stored |= {"RUNNABLE", "REOPENED"}
    return stored


def _in_order(
    connection: sqlite3.Connection, job: _Job, page: Page, wanted: Collection[str] | None
) -> Iterable[_Row]:
    rows = connection.execute(
        _COLUMNS + " FROM tasks WHERE job = ? AND idx > ? ORDER BY idx", (job.number, page.after)
    )
    return (row for row in map(_Row._make, rows) if wanted is None or row.status in wanted)


def _with_status(connection: sqlite3.Connection, job: _Job, page: Page, status: str) -> Iterable[_Row]:
    rows = connection.execute(
        _COLUMNS
        + """
        FROM tasks INDEXED BY tasks_unsuccessful
        WHERE job = ? AND status = ? AND status <> 'SUCCEEDED' AND idx > ? ORDER BY idx LIMIT ?
        """,
        (job.number, status, page.after, page.limit),
    )
    return map(_Row._make, rows)


def _record(job: _Job, row: _Row) -> TaskRecord:
    outcome = decode_outcome(row.outcome) if row.outcome else None
    live = decode_metadata(row.metadata) if row.metadata else {}
    return TaskRecord(
        task=TaskId(job.id, row.idx),
        status=_status(job, row.status),
        round=row.round,
        attempt=row.attempt,
        tries=row.tries,
        owner=row.owner,
        user_failures=row.user_failures,
        infra_failures=row.infra_failures,
        begun_at=row.begun_at,
        not_before=row.not_before,
        memory=row.memory,
        outcome=outcome,
        reason=row.reason or "",
        metadata=(outcome.metadata if outcome else None) or live,
    )


def _status(job: _Job, stored: str) -> Status:
    if stored not in ("RUNNABLE", "REOPENED"):
        return Status(stored)
    return Status.PENDING if job.waiting else Status.RUNNABLE


def attempts(connection: sqlite3.Connection, *, task: TaskId) -> Sequence[AttemptRecord]:
    rows = connection.execute(
        """
        SELECT round, number, owner, begun_at, outcome FROM attempts
        WHERE job = (SELECT job FROM jobs WHERE id = ?1) AND idx = ?2
        UNION ALL
        SELECT round, attempt, owner, begun_at, outcome FROM tasks
        WHERE job = (SELECT job FROM jobs WHERE id = ?1) AND idx = ?2 AND outcome IS NOT NULL
        ORDER BY 2
        """,
        (storable(task.job_id), task.index),
    ).fetchall()
    return [
        AttemptRecord(task, round_, number, owner, begun_at, decode_outcome(outcome))
        for round_, number, owner, begun_at, outcome in rows
    ]
