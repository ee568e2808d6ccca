"""Reads from the ledger and the queue all that an explanation needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from controller.listing import find_task
from controller.model import Reason
from controller.obstacles import Situation
from controller.ports import Backend, Records
from runner.codec import DecodeError, decode_note
from runner.errors import NotFound, RunnerError
from runner.model import EMR, Job, Status, TaskId
from runner.ports import Queue, Supervision
from runner.records import JobRecord, TaskRecord
from runner.routing import Routes
from runner.settings import BATCH, Settings

FAILURES_READ = 5
RETRYING_READ = 3


async def inspect(
    records: Records,
    queue: Queue,
    settings: Settings,
    record: JobRecord,
    task: TaskId | None = None,
    *,
    supervision: Supervision,
    now: float,
    backends: Mapping[str, Backend] | None = None,
) -> Situation:
    """What is known of a job, or of one of its tasks, `now`."""
    job = record.job
    found = await find_task(records, record, task) if task else None
    failures = () if task else await records.tasks(job.id, statuses={Status.FAILED}, limit=FAILURES_READ)
    situation = Situation(
        job=record,
        now=now,
        led=supervision.led,
        parents={parent: await records.job(parent) for parent in job.after},
        failures=failures,
        retrying=await _retrying(records, record) if task is None else (),
        task=found,
        attempts=await records.attempts(task) if task else (),
    )
    if job.backend:
        return replace(situation, elsewhere=await _elsewhere(backends or {}, record, supervision, now))
    if settings.mode == BATCH:
        return replace(situation, elsewhere=[_no_machines(job)])
    routes = Routes.of(settings)
    channel = _channel(routes, job, found)
    return replace(
        situation,
        hosts=await records.hosts(),
        backlog=(await queue.backlog()).get(channel),
        ahead=await _ahead(records, settings, record, routes),
        agent_logs=str(_agent_logs(settings.home)) if settings.fleet is None else "",
        channel=channel,
        machines=_machines(routes, channel, supervision),
    )


def _no_machines(job: Job) -> Reason:
    text = (
        "It is for machines of this installation's own, and in mode batch there are none: end it with "
        f"`runner-controller cancel {job.id}` and submit it again, or give it machines with mode: fleet, and "
        "`batch: {}` beside for the others."
    )
    return Reason("no_machines", text)


async def _elsewhere(
    backends: Mapping[str, Backend], record: JobRecord, supervision: Supervision, now: float
) -> Sequence[Reason]:
    """What its backend says of tasks that wait, and of clusters that also come up while a task counts as running."""
    backend = backends.get(record.job.backend)
    if backend is None:
        text = (
            f"The settings have no section {record.job.backend} any more, so nobody looks after it: write it again; "
            "what went on meanwhile is then recorded, as long as it is remembered there."
        )
        return [Reason("unknown_backend", text)]
    waiting = record.counts.runnable or (record.job.backend == EMR and record.counts.running)
    if record.status.terminal or record.released_at is None or not waiting:
        return ()
    try:
        return [*_troubles(supervision), *await backend.reasons(record, now)]
    except RunnerError as error:
        return [Reason("backend_silent", f"What keeps it cannot be told: {error}")]


def _troubles(supervision: Supervision) -> Iterator[Reason]:
    try:
        trouble = decode_note(supervision.note).trouble
    except DecodeError:
        return
    if trouble and supervision.led:
        yield Reason("supervisor_trouble", f"What whoever supervises met with the last time: {trouble}")


def _channel(routes: Routes, job: Job, task: TaskRecord | None) -> str:
    """Where the task, or the job's first attempts, are sent; the queue's own name where it is not in the settings."""
    memory = (task.memory if task else None) or job.limits.memory
    try:
        return routes.channel(job, memory, task.infra_failures if task else 0)
    except NotFound:
        return job.queue


def _machines(routes: Routes, channel: str, supervision: Supervision) -> str:
    """Why there are as many as there are of a fleet's machines that take from the channel."""
    try:
        reasons = decode_note(supervision.note).reasons
    except DecodeError:
        reasons = {}
    names = routes.environments_of(channel) if routes.fleet else ()
    return ". ".join(f"{name}: {reasons[name]}" for name in names if name in reasons)


async def _retrying(records: Records, record: JobRecord) -> Sequence[TaskRecord]:
    if record.status.terminal or not record.counts.runnable:
        return ()
    found = await records.tasks(record.job.id, statuses={Status.RUNNABLE}, limit=RETRYING_READ)
    return [task for task in found if task.outcome is not None]


async def _ahead(records: Records, settings: Settings, record: JobRecord, routes: Routes) -> int:
    """Tasks that are likely served earlier by the same machines: those of older jobs, and of jobs on queues of higher
    priority."""
    if record.status.terminal:
        return 0
    priority = settings.queues.get(record.job.queue, 0)
    waiting, machines = 0, _serving(routes, record.job)
    for other in await records.jobs(unfinished=True):
        others = settings.queues.get(other.job.queue, 0)
        older = others == priority and other.job.created_at < record.job.created_at
        ahead = other.job.id != record.job.id and not other.job.backend and (others > priority or older)
        if ahead and machines & _serving(routes, other.job):
            waiting += other.counts.runnable
    return waiting


def _serving(routes: Routes, job: Job) -> set[str]:
    return set(routes.environments_of(_channel(routes, job, None)))


def _agent_logs(home: Path) -> Path:
    return home / "hosts" / "*" / "agent.log"
