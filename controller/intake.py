"""From a job file, flags or arguments to a submitted job: what the command line and the Python API share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from controller import submission
from controller.admission import check_against
from controller.draft import JobDraft, draft_from, to_job
from controller.layers import Label, flag
from controller.ports import Records
from controller.selectors import select_one
from controller.submission import Submission, new_job_id
from controller.wiring import Parts
from runner.errors import Unavailable
from runner.model import Job
from runner.settings import Settings
from runner.wiring import docker_trouble, local_host

GET_DOCKER = "https://docs.docker.com/engine/install/"


def checked_draft(
    settings: Settings, file: Path | None, overrides: Mapping[str, object], label: Label = flag
) -> JobDraft:
    """A job that this installation can take. Writes nothing. Raises BadInput."""
    draft = draft_from(file, overrides, label=label)
    if settings.engine == "process" and draft.job.image is not None:
        draft = replace(draft, job=replace(draft.job, bare=True))
    check_against(
        draft,
        queues=settings.queues,
        capacity=local_host(settings, "any").capacity(),
        processes=settings.engine != "docker",
    )
    return draft


async def check_engine(settings: Settings, job: Job) -> None:
    """Better now than as a thousand failed tasks. Raises Unavailable."""
    if job.engine != "docker":
        return
    trouble = await docker_trouble(settings)
    if trouble:
        message = (
            f"the job runs in an image, and no Docker engine answers: {trouble}\n"
            f"install and start one ({GET_DOCKER}), "
            "or run the command on this machine itself with RUNNER_ENGINE=process"
        )
        raise Unavailable(message)


async def submit_draft(parts: Parts, draft: JobDraft) -> Submission:
    """Raises NotFound for a job to come after that does not exist, Conflict, StorageError."""
    after = await resolve(parts.records, draft.after)
    job = await to_job(draft, id=new_job_id(), now=parts.now, manifests=parts.manifests, after=after)
    return await submission.submit(parts.records, parts.queue, job, parts.settings.supervisor.window)


async def resolve(records: Records, selectors: Sequence[str]) -> tuple[str, ...]:
    """The ids of the jobs they stand for, each once."""
    found = [await select_one(records, selector) for selector in selectors]
    return tuple(dict.fromkeys(record.job.id for record in found))
