"""Reads from the ledger and the queue all that an explanation needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from controller.listing import find_task
from controller.obstacles import Situation
from controller.ports import Records
from runner.model import Status, TaskId
from runner.ports import Queue
from runner.records import JobRecord, TaskRecord
from runner.settings import Settings

FAILURES_READ = 5
RETRYING_READ = 3


async def inspect(
    records: Records,
    queue: Queue,
    settings: Settings,
    record: JobRecord,
    task: TaskId | None = None,
    *,
    led: bool,
    now: float,
) -> Situation:
    """What is known of a job, or of one of its tasks, `now`. `led`: somebody supervises."""
    job = record.job
    failures = () if task else await records.tasks(job.id, statuses={Status.FAILED}, limit=FAILURES_READ)
    return Situation(
        job=record,
        now=now,
        led=led,
        parents={parent: await records.job(parent) for parent in job.after},
        hosts=await records.hosts(),
        backlog=(await queue.backlog()).get(job.queue),
        ahead=await _ahead(records, settings, record),
        failures=failures,
        retrying=await _retrying(records, record) if task is None else (),
        task=await find_task(records, record, task) if task else None,
        attempts=await records.attempts(task) if task else (),
        agent_logs=str(_agent_logs(settings.home)),
    )


async def _retrying(records: Records, record: JobRecord) -> Sequence[TaskRecord]:
    if record.status.terminal or not record.counts.runnable:
        return ()
    found = await records.tasks(record.job.id, statuses={Status.RUNNABLE}, limit=RETRYING_READ)
    return [task for task in found if task.outcome is not None]


async def _ahead(records: Records, settings: Settings, record: JobRecord) -> int:
    """Tasks that are likely served earlier: those of older jobs, and of jobs on queues of higher priority."""
    if record.status.terminal:
        return 0
    priority = settings.queues.get(record.job.queue, 0)
    waiting = 0
    for other in await records.jobs(unfinished=True):
        others = settings.queues.get(other.job.queue, 0)
        older = others == priority and other.job.created_at < record.job.created_at
        if other.job.id != record.job.id and (others > priority or older):
            waiting += other.counts.runnable
    return waiting


def _agent_logs(home: Path) -> Path:
    return home / "hosts" / "*" / "agent.log"
