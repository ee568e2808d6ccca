"""Finishing an attempt: the statements behind `Ledger.finish`."""

from __future__ import annotations

import sqlite3

from runner.adapters.sqlite import rounds
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
        if settled.status == "REOPENED":
            rounds.reopen_one(connection, job, attempt.task.index)
        return True
    return _recorded(connection, job, attempt) == encode_outcome(outcome)


def _unsuccessful(
    connection: sqlite3.Connection, job: int, outcome: Outcome, verdict: Verdict, now: float
) -> Settled:
    status, reason, again = verdict.status.value, verdict.reason or outcome.reason, False
    if verdict.status in (Status.RUNNABLE, Status.CANCELLED):
        ending = connection.execute(
            "SELECT ending_reason FROM progress WHERE job = ? AND ended_at IS NOT NULL", (job,)
        ).fetchone()
        if ending is None and verdict.status is Status.CANCELLED:
            status = "REOPENED"  # a new round lifted what cancelled it, before this attempt could stop
        elif ending is None:
            again, reason = True, ""
        elif verdict.status is Status.RUNNABLE:  # nobody will begin it again
            status, reason = "CANCELLED", ending[0]
    return Settled(
        status,
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
