"""Finishing an attempt: the statements behind `Ledger.finish`."""

from __future__ import annotations

import sqlite3

from runner.adapters.sqlite.settling import Settled, settle
from runner.codec import encode_outcome
from runner.model import Attempt, Charge, Outcome, Status
from runner.records import Verdict


def finish(
    connection: sqlite3.Connection, *, attempt: Attempt, outcome: Outcome, verdict: Verdict, now: float
) -> bool:
    row = connection.execute("SELECT job FROM jobs WHERE id = ?", (attempt.task.job_id,)).fetchone()
    if row is None:
        return False
    (job,) = row
    if verdict.status is Status.SUCCEEDED:
        settled = Settled("SUCCEEDED", outcome, now)
    else:
        settled = _unsuccessful(connection, job, outcome, verdict, now)
    if settle(connection, job, attempt.task.index, attempt.number, settled):
        return True
    return _recorded(connection, job, attempt) == encode_outcome(outcome)


def _unsuccessful(
    connection: sqlite3.Connection, job: int, outcome: Outcome, verdict: Verdict, now: float
) -> Settled:
    status, reason, again = verdict.status, verdict.reason or outcome.reason, False
    if status is Status.RUNNABLE:
        ending = connection.execute(
            "SELECT ending_reason FROM progress WHERE job = ? AND ended_at IS NOT NULL", (job,)
        ).fetchone()
        if ending is None:
            again, reason = True, ""
        else:  # nobody will begin it again
            status, reason = Status.CANCELLED, ending[0]
    return Settled(
        status.value,
        outcome,
        now,
        reason=reason,
        user_failures=int(verdict.charge is Charge.USER),
        infra_failures=int(verdict.charge is Charge.INFRA),
        not_before=now + verdict.delay if again and verdict.delay > 0 else None,
        memory=verdict.memory,
    )


def _recorded(connection: sqlite3.Connection, job: int, attempt: Attempt) -> str | None:
    """The outcome that stands for this attempt: as its task's latest, or in history."""
    row = connection.execute(
        """
        SELECT outcome FROM tasks
        WHERE job = :job AND idx = :index AND attempt = :number AND outcome IS NOT NULL
        UNION ALL
        SELECT outcome FROM attempts WHERE job = :job AND idx = :index AND number = :number
        """,
        {"job": job, "index": attempt.task.index, "number": attempt.number},
    ).fetchone()
    return row[0] if row else None
