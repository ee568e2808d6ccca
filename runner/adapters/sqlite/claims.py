"""What a claim to a task looks at and changes, whether the task is free or another owner has it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from runner.model import Attempt, Job, Lease


class Claim(NamedTuple):
    """Who wants to begin what, when. `now` is wall-clock; `steady` never jumps, and all processes share it.

    `patience`: after so many seconds without a beat an owner counts as silent.
    """

    lease: Lease
    job: Job
    owner: str
    now: float
    steady: float
    patience: float

    @property
    def idx(self) -> int:
        return self.lease.task.index


class Standing(NamedTuple):
    """Of the job as a whole: what decides whether its tasks may begin."""

    job: int
    round: int
    released_at: float | None
    ended_at: float | None
    ending_reason: str | None
    gap: int
    gap_end: int


def begin_first(connection: sqlite3.Connection, standing: Standing, claim: Claim) -> Attempt:
    connection.execute(
        """
        INSERT INTO tasks (job, idx, status, round, attempt, tries, owner, begun_at)
        VALUES (?, ?, 'RUNNING', ?, 1, 1, ?, ?)
        """,
        (standing.job, claim.idx, standing.round, claim.owner, claim.now),
    )
    return first_attempt(claim)


def first_attempt(claim: Claim) -> Attempt:
    return Attempt(claim.lease.task, number=1, tries=1, owner=claim.owner, memory=claim.job.limits.memory)


def begin_next(connection: sqlite3.Connection, job: int, claim: Claim) -> Attempt:
    """The attempt after one that has ended, which goes where ended attempts stay."""
    connection.execute(
        """
        INSERT INTO attempts (job, idx, number, round, owner, begun_at, outcome)
        SELECT job, idx, attempt, round, owner, begun_at, outcome FROM tasks
        WHERE job = ? AND idx = ? AND outcome IS NOT NULL
        """,
        (job, claim.idx),
    )
    row = connection.execute(
        """
        UPDATE tasks SET status = 'RUNNING', attempt = attempt + 1, tries = tries + 1,
            owner = ?, begun_at = ?, not_before = NULL, outcome = NULL, reason = NULL, metadata = NULL,
            noted_beat = NULL, noted_message = NULL, noted_at = NULL, held = 0
        WHERE job = ? AND idx = ?
        RETURNING attempt, tries, memory, user_failures, infra_failures
        """,
        (claim.owner, claim.now, job, claim.idx),
    ).fetchone()
    number, tries, memory, user_failures, infra_failures = row
    return Attempt(
        task=claim.lease.task,
        number=number,
        tries=tries,
        owner=claim.owner,
        memory=memory or claim.job.limits.memory,
        user_failures=user_failures,
        infra_failures=infra_failures,
    )
