"""Beginning an attempt: the statements behind `Ledger.begin`."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from runner.adapters.sqlite import takeover
from runner.adapters.sqlite.claims import Claim, Standing, begin_first, begin_next, first_attempt
from runner.model import Attempt
from runner.records import Refusal, RefusalKind


class Row(NamedTuple):
    """What a task's row says about beginning its next attempt."""

    status: str
    not_before: float | None


def begin(connection: sqlite3.Connection, *, claim: Claim) -> Attempt | Refusal:
    if claim.idx not in claim.job.array:
        return Refusal(RefusalKind.UNKNOWN, reason=f"job {claim.job.id} has no index {claim.idx}")
    if _first_ever(connection, claim):
        return first_attempt(claim)
    standing = _standing(connection, claim.job.id)
    if standing is None:
        return Refusal(RefusalKind.UNKNOWN, reason=f"no job {claim.job.id}")
    row = _row(connection, standing.job, claim.idx)
    if row is not None and row.status == "RUNNING":
        return takeover.contest(connection, claim, standing)
    refusal = _refusal(claim, standing, row)
    if refusal is not None:
        return refusal
    if _to_be_sent_again(claim, standing, row):
        connection.execute("UPDATE progress SET resend = resend - 1 WHERE job = ?", (standing.job,))
    if row is None:
        return begin_first(connection, standing, claim)
    return begin_next(connection, standing.job, claim)


def _first_ever(connection: sqlite3.Connection, claim: Claim) -> bool:
    """By far the most frequent case in one statement: no row yet, and a job that runs and has no gap."""
    inserted = connection.execute(
        """
        INSERT INTO tasks (job, idx, status, round, attempt, tries, owner, begun_at)
        SELECT job, ?, 'RUNNING', round, 1, 1, ?, ? FROM jobs JOIN progress USING (job)
        WHERE jobs.id = ? AND released_at IS NOT NULL AND ended_at IS NULL AND gap = gap_end
        ON CONFLICT (job, idx) DO NOTHING
        """,
        (claim.idx, claim.owner, claim.now, claim.job.id),
    )
    return inserted.rowcount == 1


def _standing(connection: sqlite3.Connection, job_id: str) -> Standing | None:
    row = connection.execute(
        """
        SELECT job, round, released_at, ended_at, ending_reason, gap, gap_end
        FROM jobs JOIN progress USING (job) WHERE jobs.id = ?
        """,
        (job_id,),
    ).fetchone()
    return Standing(*row) if row else None


def _row(connection: sqlite3.Connection, job: int, index: int) -> Row | None:
    row = connection.execute(
        "SELECT status, not_before FROM tasks WHERE job = ? AND idx = ?", (job, index)
    ).fetchone()
    return Row(*row) if row else None


def _refusal(claim: Claim, standing: Standing, row: Row | None) -> Refusal | None:
    if standing.ended_at is not None:
        return Refusal(RefusalKind.CANCELLED, reason=standing.ending_reason or "")
    if row is not None and row.status not in ("RUNNABLE", "REOPENED"):
        return Refusal(RefusalKind.FINISHED)
    if standing.released_at is None:
        return Refusal(RefusalKind.TOO_EARLY, claim.patience, "the jobs it comes after have not succeeded")
    if row is not None and row.not_before is not None and row.not_before > claim.now:
        return Refusal(RefusalKind.TOO_EARLY, row.not_before - claim.now, "its backoff has not run out")
    return None


def _to_be_sent_again(claim: Claim, standing: Standing, row: Row | None) -> bool:
    """A reopened task whose new message is not sent yet: an old one was quicker."""
    if row is not None:
        return row.status == "REOPENED"
    return standing.gap <= claim.job.array.rank(claim.idx) < standing.gap_end
