"""What the jobs a job comes after make of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runner.model import Status
from runner.records import Ending, JobRecord


def resolve(record: JobRecord, parents: Mapping[str, JobRecord | None], now: float) -> Ending | bool:
    """True: its tasks may run now. False: it goes on waiting. An Ending: it cannot succeed any more, and why."""
    waiting = False
    for parent_id in record.job.after:
        parent = parents.get(parent_id)
        if parent is None:
            return Ending(Status.FAILED, f"the job it comes after, {parent_id}, is unknown", now)
        if parent.status is Status.SUCCEEDED:
            continue
        if parent.status.terminal:
            return Ending(Status.FAILED, f"{describe(parent)} {_ended(parent)}", now)
        waiting = True
    return not waiting


def describe(record: JobRecord) -> str:
    return f"{record.job.name} ({record.job.id})"


def _ended(parent: JobRecord) -> str:
    if parent.status is Status.CANCELLED:
        return "was cancelled"
    if parent.ending is not None:
        return f"failed: {parent.ending.reason}"
    return f"failed: {parent.counts.failed} of {parent.job.array.size} tasks did"
