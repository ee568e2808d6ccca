"""From a job file, flags or arguments to a submitted job: what the command line and the Python API share."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from controller import submission
from controller.admission import Offers, capacity_problems, check_against
from controller.draft import JobDraft, draft_from, to_job
from controller.layers import Label, flag
from controller.ports import Records
from controller.selectors import select_one
from controller.submission import Submission, new_job_id
from controller.users import submitter
from controller.wiring import Parts
from runner.batch_settings import job_queue_name
from runner.errors import RunnerError, Unavailable
from runner.model import BATCH, EMR, Job
from runner.ports import Capacity
from runner.records import JobRecord
from runner.routing import Routes
from runner.settings import Settings
from runner.validation import Problem, refusal
from runner.wiring import docker_trouble, local_host

GET_DOCKER = "https://docs.docker.com/engine/install/"


def checked_draft(
    settings: Settings, file: Path | None, overrides: Mapping[str, object], label: Label = flag
) -> JobDraft:
    """A job that this installation can take. Writes nothing. Raises BadInput."""
    draft = draft_from(file, overrides, label=label)
    if backend := draft.job.backend or settings.backend:
        draft = replace(draft, job=replace(draft.job, backend=backend))
        check_elsewhere(draft, settings)
        return draft
    if settings.engine == "process" and settings.fleet is None and draft.job.image is not None:
        draft = replace(draft, job=replace(draft.job, bare=True))
    here = settings.fleet is None
    processes = settings.engine != "docker" and here
    check_against(draft, _offers(settings), roles=not here, processes=processes, here=here)
    return draft


def check_elsewhere(draft: JobDraft, settings: Settings) -> None:
    """Whether its backend can take the job. Raises BadInput."""
    job = draft.job
    problems: Iterable[Problem]
    if job.backend == BATCH and settings.batch is not None:
        from controller.adapters.batch.admission import problems as batch_problems

        problems = [*batch_problems(job, settings.batch), *_too_large(job, settings)]
    elif job.emr is not None and settings.emr is not None:
        from controller.adapters.emr.admission import problems as emr_problems

        problems = emr_problems(job, settings.emr)
    elif job.backend == EMR and job.emr is None:
        problems = [(("backend",), f"{EMR} is for a job with the key emr: see docs/emr.md")]
    else:
        key = "backend" if job.emr is None else EMR
        missing = f"the settings have no section {job.backend}: write one, see docs/settings.md"
        problems = [((key,), missing)]
    if found := list(problems):
        raise refusal(found, lambda loc: draft.place(*loc))


def _too_large(job: Job, settings: Settings) -> Iterator[Problem]:
    """For the machines of a job queue that `deploy` makes; what others have is not known."""
    fleet, batch = settings.fleet, settings.batch
    if fleet is None or batch is None or job.queue not in fleet.queues or job.queue not in batch.queues:
        return
    if batch.queues[job.queue].job_queue != job_queue_name(fleet.name, job.queue):
        return
    environments = [fleet.environments[name] for name in fleet.queues[job.queue].environments]
    offered = [Capacity(kind.vcpus, kind.memory) for each in environments for kind in each.instance_types]
    whole = math.ceil(job.limits.vcpus) + len(job.sidecars)
    yield from capacity_problems(replace(job, limits=replace(job.limits, vcpus=whole)), offered)


def _offers(settings: Settings) -> Offers:
    if settings.fleet is None:
        capacity = local_host(settings, "any").capacity()
        return {queue: [capacity] for queue in settings.queues}
    routes = Routes.of(settings)
    return {queue: routes.offers(queue) for queue in settings.queues}


async def check_engine(settings: Settings, job: Job) -> None:
    """Better now than as a thousand failed tasks; in a fleet, each machine has its own. Raises Unavailable."""
    if job.engine != "docker" or job.backend or settings.fleet is not None:
        return
    trouble = await docker_trouble(settings)
    if trouble:
        message = (
            f"the job runs in an image, and no Docker engine answers: {trouble}\n"
            f"install and start one ({GET_DOCKER}), "
            "or run the command on this machine itself with RUNNER_ENGINE=process"
        )
        raise Unavailable(message)


async def submit_draft(parts: Parts, draft: JobDraft, user: str | None = None) -> Submission:
    """`user`: who submits, if that is not who the process belongs to. Raises BadInput, NotFound for a job to come after
    that does not exist, Conflict, StorageError."""
    by = submitter(user, os.environ)
    after = await resolve(parts.records, draft.after)
    job = await to_job(draft, id=new_job_id(), now=parts.now, manifests=parts.manifests, after=after, user=by)
    window = parts.settings.supervisor.window
    # Two who send the same window at once would double it: where somebody leads, that one sends it.
    led = (await parts.ledger.supervision()).led
    return await submission.submit(parts.records, parts.queue, job, 0 if led else window, parts.routes)


async def stop_elsewhere(parts: Parts, record: JobRecord) -> str:
    """What a cancelled job's backend still does is stopped here, where nobody leads who would. Returns why it cannot
    be; an empty string if it is. Whoever leads next sees to it again."""
    if not (record.job.backend and record.sent) or (await parts.ledger.supervision()).led:
        return ""
    latest, backend = await parts.records.job(record.job.id), parts.backends.get(record.job.backend)
    if latest is None or backend is None:
        return "the settings do not say where"
    try:
        await backend.stop(latest)
    except RunnerError as error:
        return str(error)
    return ""


async def resolve(records: Records, selectors: Sequence[str]) -> tuple[str, ...]:
    """The ids of the jobs they stand for, each once."""
    found = [await select_one(records, selector) for selector in selectors]
    return tuple(dict.fromkeys(record.job.id for record in found))
