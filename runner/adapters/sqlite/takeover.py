"""Whether a running task may be taken from its owner.

Its beat counter tells: who finds it held notes the counter and hides the message for a lease and a margin;
who then brings the same message again and finds the counter unmoved takes over. That is the queue's time,
which jumps with the wall clock when that is set or the machine slept; so the steady clock must agree.
"""

from __future__ import annotations

import math
import sqlite3
from typing import NamedTuple

from runner.adapters.sqlite.claims import Claim, Standing, begin_next
from runner.adapters.sqlite.settling import Settled, settle
from runner.model import Attempt, Charge, Kind, Outcome
from runner.records import Refusal, RefusalKind

LONGEST_HIDE = 600.0
MARGIN = 0.1
LEAST_MARGIN = 1.0

_AFTER = {RefusalKind.CANCELLED: "CANCELLED", RefusalKind.EXHAUSTED: "FAILED"}


class Holder(NamedTuple):
    """A running attempt, and the last note on its beat."""

    attempt: int
    owner: str
    infra_failures: int
    beat: int
    noted_beat: int | None
    noted_message: str | None
    noted_at: float | None
    held: int
    memory: int | None


def contest(connection: sqlite3.Connection, claim: Claim, standing: Standing) -> Attempt | Refusal:
    holder = _holder(connection, standing.job, claim.idx)
    if _restarted(holder.owner, claim.owner):
        return _take(connection, claim, standing, holder, "its agent was killed and started anew")
    mine = holder.noted_message == claim.lease.message_id
    if holder.noted_beat != holder.beat or holder.noted_at is None:
        # It lives. The longer it does, the longer this message may sleep.
        return _note(connection, claim, standing, holder, holder.held + 1 if mine else 0)
    silence = _silence(claim, holder.noted_at)
    if mine and silence >= claim.patience:
        return _take(connection, claim, standing, holder, f"{holder.owner} fell silent")
    if not mine and silence > 2 * _hide(claim):
        return _note(connection, claim, standing, holder, 0)  # the message that was noted never came back
    # Another message's note stands: if each overwrote the other's, two duplicates would wait for ever.
    return _held(holder.owner, max(LEAST_MARGIN, _hide(claim) - silence) if mine else _hide(claim))


def _holder(connection: sqlite3.Connection, job: int, index: int) -> Holder:
    row = connection.execute(
        """
        SELECT attempt, owner, infra_failures, beat, noted_beat, noted_message, noted_at, held,
            memory
        FROM tasks WHERE job = ? AND idx = ?
        """,
        (job, index),
    ).fetchone()
    return Holder(*row)


def _restarted(holder: str, claimant: str) -> bool:
    """The holder is an earlier incarnation of the claimant's host, and therefore dead."""
    return holder != claimant and holder.partition("#")[0] == claimant.partition("#")[0]


def _silence(claim: Claim, noted_at: float) -> float:
    """Seconds without a beat. A steady clock that went back means that the machine was restarted."""
    silence = claim.steady - noted_at
    return silence if silence >= 0 else math.inf


def _hide(claim: Claim) -> float:
    return claim.patience + max(LEAST_MARGIN, MARGIN * claim.patience)


def _held(owner: str, retry_after: float) -> Refusal:
    return Refusal(RefusalKind.HELD, retry_after, f"{owner} has it")


def _note(
    connection: sqlite3.Connection, claim: Claim, standing: Standing, holder: Holder, held: int
) -> Refusal:
    connection.execute(
        """
        UPDATE tasks SET noted_beat = beat, noted_message = ?, noted_at = ?, held = ?
        WHERE job = ? AND idx = ?
        """,
        (claim.lease.message_id, claim.steady, held, standing.job, claim.idx),
    )
    doubled = min(LONGEST_HIDE, _hide(claim) * 2.0 ** min(held, 32))
    return _held(holder.owner, max(_hide(claim), doubled))


def _take(
    connection: sqlite3.Connection, claim: Claim, standing: Standing, holder: Holder, reason: str
) -> Attempt | Refusal:
    """Record the holder's attempt as lost, and begin the next unless that was the last."""
    refusal = _refusal(claim, standing, holder, reason)
    settled = Settled(
        status=_AFTER[refusal.kind] if refusal else "RUNNABLE",
        outcome=Outcome(Kind.LOST, Charge.INFRA, reason=reason, finished_at=claim.now, memory=holder.memory),
        at=claim.now,
        reason=refusal.reason if refusal else "",
        infra_failures=1,
    )
    settle(connection, standing.job, claim.idx, holder.attempt, settled)
    return refusal or begin_next(connection, standing.job, claim)


def _refusal(claim: Claim, standing: Standing, holder: Holder, reason: str) -> Refusal | None:
    if standing.ended_at is not None:
        return Refusal(RefusalKind.CANCELLED, reason=standing.ending_reason or "")
    failures, bound = holder.infra_failures + 1, claim.job.retry.infra_retries
    if failures <= bound:
        return None
    exhausted = f"{reason}: lost to the infrastructure {failures} times, the bound is {bound}"
    return Refusal(RefusalKind.EXHAUSTED, reason=exhausted)
