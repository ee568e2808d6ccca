"""Jobs as a whole: the statements that read them and store them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from runner.adapters.sqlite.text import storable
from runner.adapters.unreadable import leave_out
from runner.codec import DecodeError, decode_job, encode_job, pack_job
from runner.errors import Conflict
from runner.model import Job, Status
from runner.records import Counts, Ending, JobRecord

# A supervisor reads the same jobs twice a second.
_decode = lru_cache(maxsize=256)(decode_job)

# Greater than all that may follow a prefix.
_LAST_CHARACTER = chr(0x10FFFF)

_COLUMNS = """
    SELECT jobs.id, body, jobs.job, size, round, sent, resend, released_at, ending, ending_reason, ended_at, over,
        succeeded, failed, cancelled, first_started_at, last_finished_at, task_seconds, cpu_seconds,
        peak_memory
"""
_SELECT = _COLUMNS + " FROM jobs JOIN progress USING (job) WHERE 1"

# In this order and by this index, so that the finished jobs, which may be many, are not even looked at.
_SELECT_UNFINISHED = (
    _COLUMNS + " FROM progress INDEXED BY progress_unfinished CROSS JOIN jobs USING (job) WHERE over = 0"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs to list; all that is given must hold. `limit` -1: no limit."""

    name: str | None = None
    id_prefix: str | None = None
    unfinished: bool = False
    limit: int = -1


class Progress(NamedTuple):
    job: int
    size: int
    round: int
    sent: int
    resend: int
    released_at: float | None
    ending: str | None
    ending_reason: str | None
    ended_at: float | None
    over: int
    succeeded: int
    failed: int
    cancelled: int
    first_started_at: float | None
    last_finished_at: float | None
    task_seconds: float
    cpu_seconds: float
    peak_memory: int | None


def register(connection: sqlite3.Connection, *, job: Job) -> tuple[JobRecord, bool]:
    found = _registered(connection, job)
    if found is not None:
        return found, False
    inserted = connection.execute(
        "INSERT INTO jobs (id, name, idempotency_key, body) VALUES (?, ?, ?, ?)",
        (job.id, storable(job.name), _key(job), encode_job(job)),
    )
    connection.execute(
        "INSERT INTO progress (job, size, released_at) VALUES (?, ?, ?)",
        (inserted.lastrowid, job.array.size, None if job.after else job.created_at),
    )
    return _stored(connection, inserted.lastrowid), True


def _registered(connection: sqlite3.Connection, job: Job) -> JobRecord | None:
    """The same job, if it is here already. Raises Conflict if its key or id belongs to another."""
    found = connection.execute(
        "SELECT job FROM jobs WHERE id = ? OR idempotency_key = ?", (job.id, _key(job))
    ).fetchone()
    if found is None:
        return None
    record = _stored(connection, found[0])
    if _essence(record.job) != _essence(job):
        used = f"id {job.id}" if record.job.id == job.id else f"idempotency key {job.idempotency_key!r}"
        message = f"{used} was used before, for something else: job {record.job.id} ({record.job.name!r})"
        raise Conflict(message)
    return record


def _key(job: Job) -> str | None:
    return None if job.idempotency_key is None else storable(job.idempotency_key)


def _essence(job: Job) -> dict[str, Any]:
    packed = pack_job(job)
    return {name: packed[name] for name in packed if name not in ("id", "created_at", "user")}


def job(connection: sqlite3.Connection, *, job_id: str) -> Job | None:
    row = connection.execute("SELECT body FROM jobs WHERE id = ?", (storable(job_id),)).fetchone()
    return _decode(row[0]) if row else None


def record(connection: sqlite3.Connection, *, job_id: str) -> JobRecord | None:
    row = connection.execute(_SELECT + " AND jobs.id = ?", (storable(job_id),)).fetchone()
    return _record(connection, row) if row else None


def _stored(connection: sqlite3.Connection, number: int | None) -> JobRecord:
    return _record(connection, connection.execute(_SELECT + " AND jobs.job = ?", (number,)).fetchone())


def listing(connection: sqlite3.Connection, *, wanted: Filter) -> Sequence[JobRecord]:
    sql, values = _SELECT_UNFINISHED if wanted.unfinished else _SELECT, list[str]()
    if wanted.name is not None:
        sql += " AND name = ?"
        values.append(storable(wanted.name))
    if wanted.id_prefix is not None:
        prefix = storable(wanted.id_prefix)
        sql += " AND id BETWEEN ? AND ?"
        values += [prefix, prefix + _LAST_CHARACTER]
    rows = connection.execute(sql + " ORDER BY jobs.job DESC", values)
    records = (record for row in rows if (record := _readable(connection, row)) is not None)
    return list(islice(records, wanted.limit if wanted.limit >= 0 else None))


def _readable(connection: sqlite3.Connection, row: Sequence[Any]) -> JobRecord | None:
    try:
        return _record(connection, row)
    except DecodeError as error:
        leave_out("job", row[0], str(error))
        return None


def running(connection: sqlite3.Connection, number: int) -> tuple[int, float | None]:
    """How many of a job's tasks run, and when the first of them began."""
    row: tuple[int, float | None] = connection.execute(
        """
        SELECT count(*), min(begun_at) FROM tasks INDEXED BY tasks_unsuccessful
        WHERE job = ? AND status = 'RUNNING' AND status <> 'SUCCEEDED'
        """,
        (number,),
    ).fetchone()
    return row


def _record(connection: sqlite3.Connection, row: Sequence[Any]) -> JobRecord:
    progress = Progress(*row[2:])
    active, began = (0, None) if progress.over else running(connection, progress.job)
    started = [at for at in (progress.first_started_at, began) if at is not None]
    return JobRecord(
        job=_decode(row[1]),
        counts=_counts(progress, active),
        round=progress.round,
        sent=progress.sent,
        queued=_queued(progress, active),
        released_at=progress.released_at,
        ending=_ending(progress),
        first_started_at=min(started, default=None),
        last_finished_at=progress.last_finished_at,
        task_seconds=progress.task_seconds,
        cpu_seconds=progress.cpu_seconds,
        peak_memory=progress.peak_memory,
    )


def _counts(progress: Progress, active: int) -> Counts:
    """What has no row, or waits in one, is all that is left: where the job stands says what it counts as."""
    waiting = progress.size - active - progress.succeeded - progress.failed - progress.cancelled
    released, ended = progress.released_at is not None, progress.ended_at is not None
    return Counts(
        pending=0 if released or ended else waiting,
        runnable=waiting if released and not ended else 0,
        running=active,
        succeeded=progress.succeeded,
        failed=progress.failed,
        cancelled=progress.cancelled + (waiting if ended else 0),
    )


def _queued(progress: Progress, active: int) -> int:
    if progress.ended_at is not None:
        return active
    finished = progress.succeeded + progress.failed + progress.cancelled
    return max(active, progress.sent - progress.resend - finished)


def _ending(progress: Progress) -> Ending | None:
    if progress.ending is None or progress.ended_at is None:
        return None
    return Ending(Status(progress.ending), progress.ending_reason or "", progress.ended_at)
