"""From a job file, flags or arguments to a submitted job: what the command line and the Python API share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from controller import submission
from controller.admission import Offers, check_against
from controller.draft import JobDraft, draft_from, to_job
from controller.layers import Label, flag
from controller.ports import Records
from controller.selectors import select_one
from controller.submission import Submission, new_job_id
from controller.users import submitter
from controller.wiring import Parts
from runner.errors import Unavailable
from runner.model import Job
from runner.routing import Routes
from runner.settings import Settings
from runner.wiring import docker_trouble, local_host

GET_DOCKER = "https://docs.docker.com/engine/install/"


def checked_draft(
    settings: Settings, file: Path | None, overrides: Mapping[str, object], label: Label = flag
) -> JobDraft:
    """A job that this installation can take. Writes nothing. Raises BadInput."""
    draft = draft_from(file, overrides, label=label)
    if settings.engine == "process" and settings.fleet is None and draft.job.image is not None:
        draft = replace(draft, job=replace(draft.job, bare=True))
    processes = settings.engine != "docker" and settings.fleet is None
    check_against(draft, _offers(settings), roles=settings.fleet is not None, processes=processes)
    return draft


def _offers(settings: Settings) -> Offers:
    if settings.fleet is None:
        capacity = local_host(settings, "any").capacity()
        return {queue: [capacity] for queue in settings.queues}
    routes = Routes.of(settings)
    return {queue: routes.offers(queue) for queue in settings.queues}


async def check_engine(settings: Settings, job: Job) -> None:
    """Better now than as a thousand failed tasks; in a fleet, each machine has its own. Raises Unavailable."""
    if job.engine != "docker" or settings.fleet is not None:
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


async def resolve(records: Records, selectors: Sequence[str]) -> tuple[str, ...]:
    """The ids of the jobs they stand for, each once."""
    found = [await select_one(records, selector) for selector in selectors]
    return tuple(dict.fromkeys(record.job.id for record in found))
