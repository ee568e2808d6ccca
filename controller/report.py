"""From records to what the command line and other readers show: the JSON that docs/cli.md promises. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runner.model import Outcome, Status
from runner.records import AttemptRecord, Counts, JobRecord, TaskRecord


def counts_object(counts: Counts) -> dict[str, int]:
    return {
        "pending": counts.pending,
        "runnable": counts.runnable,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    }


def count_of(counts: Counts, statuses: Collection[Status]) -> int:
    by_name = counts_object(counts)
    return sum(by_name[status.lower()] for status in set(statuses))


def job_object(record: JobRecord, now: float) -> dict[str, object]:
    job = record.job
    return {
        "id": job.id,
        "name": job.name,
        "status": str(record.status),
        "reason": record.ending.reason if record.ending else "",
        "user": job.user,
        "queue": job.queue,
        "backend": job.backend,
        "image": job.image,
        "command": list(job.command),
        "size": job.array.size,
        "counts": counts_object(record.counts),
        "round": record.round,
        "after": list(job.after),
        "max_parallel": job.max_parallel,
        "created_at": job.created_at,
        "released_at": record.released_at,
        "started_at": record.first_started_at,
        "finished_at": finished_at(record),
        "duration": job_duration(record, now),
        "task_seconds": record.task_seconds,
        "cpu_seconds": record.cpu_seconds,
        "peak_memory": record.peak_memory,
    }


def finished_at(record: JobRecord) -> float | None:
    """When a job ended; None while it goes on."""
    if not record.status.terminal:
        return None
    ended = record.ending.at if record.ending else None
    known = [at for at in (record.last_finished_at, ended) if at is not None]
    return max(known, default=None)


def job_duration(record: JobRecord, now: float) -> float | None:
    """Seconds from its first task's start to its end, or to `now`; None if it never started."""
    if record.first_started_at is None:
        return None
    end = finished_at(record) if record.status.terminal else now
    return max(0.0, (now if end is None else end) - record.first_started_at)


def task_object(record: TaskRecord, name: str, item: str | None = None) -> dict[str, object]:
    outcome = record.outcome
    return {
        "id": str(record.task),
        "status": str(record.status),
        "job": record.task.job_id,
        "name": name,
        "index": record.task.index,
        "item": item,
        "round": record.round,
        "attempts": record.attempt,
        "tries": record.tries,
        "user_failures": record.user_failures,
        "infra_failures": record.infra_failures,
        "host": host_of(record.owner),
        "begun_at": record.begun_at,
        "not_before": record.not_before,
        "memory": record.memory,
        "reason": task_reason(record),
        "metadata": dict(record.metadata),
        "outcome": None if outcome is None else outcome_object(outcome),
    }


def outcome_object(outcome: Outcome) -> dict[str, object]:
    return {
        "kind": str(outcome.kind),
        "charge": None if outcome.charge is None else str(outcome.charge),
        "exit_code": outcome.exit_code,
        "reason": outcome.reason,
        "warning": outcome.warning,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "duration": outcome.duration,
        "cpu_seconds": outcome.usage.cpu_seconds,
        "peak_memory": outcome.usage.peak_memory,
        "image_digest": outcome.image_digest,
        "tail": list(outcome.tail),
        "log_bytes": outcome.log_bytes,
        "log_dropped": outcome.log_dropped,
        "metadata": dict(outcome.metadata),
    }


def attempt_object(record: AttemptRecord) -> dict[str, object]:
    return {
        "attempt": record.number,
        "round": record.round,
        "host": host_of(record.owner),
        "begun_at": record.begun_at,
        "outcome": outcome_object(record.outcome),
    }


def host_of(owner: str | None) -> str | None:
    """`host#incarnation` names one life of an agent; people know the host."""
    return owner.partition("#")[0] if owner else None


def task_reason(record: TaskRecord) -> str:
    """Why the task stands where it does: the ledger's word on it, else its outcome's."""
    return record.reason or (record.outcome.reason if record.outcome else "")


def last_line(lines: Sequence[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "")
