"""An attempt as the ledger has it, for those that begin and end attempts without a queue's messages."""

from __future__ import annotations

from runner.model import Attempt, Job, Lease, TaskId
from runner.records import TaskRecord


def attempt_of(task: TaskRecord, job: Job) -> Attempt:
    """The attempt that holds the task."""
    return Attempt(
        task=task.task,
        number=task.attempt,
        tries=task.tries,
        owner=task.owner or "",
        memory=task.memory or job.limits.memory,
        user_failures=task.user_failures,
        infra_failures=task.infra_failures,
    )


def lease_of(task: TaskId, owner: str) -> Lease:
    """What `Ledger.begin` wants to see: there is no message here, the owner stands for it."""
    return Lease(task, "", owner, "", 1, 0.0)
