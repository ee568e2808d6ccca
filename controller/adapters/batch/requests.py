"""A submission as SubmitJob's parameters. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from controller.adapters.batch import shim, strategy
from controller.adapters.batch.definitions import SCRATCH, TAG, Json, environment, resources
from controller.adapters.batch.details import MAIN
from controller.adapters.batch.submissions import Submission, name_of
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Job

LONGEST_SHARE = 255


def variables(
    job: Job, submission: Submission, items: Mapping[int, str] | None, *, wrapped: bool
) -> dict[str, str]:
    """What the container is given; what differs by task comes from AWS Batch itself, or from the shim."""
    given = {
        **job.env,
        "RUNNER_JOB_ID": job.id,
        "RUNNER_RUN_ID": job.id,
        "RUNNER_SCRATCH": SCRATCH,
        # Nobody reads it here, but a program may write to it everywhere.
        "RUNNER_METADATA": f"{SCRATCH}/.metadata",
    }
    if wrapped:
        given |= {
            "RUNNER_SHARDS": submission.shards,
            "RUNNER_TRIES": str(submission.lot.tries),
            "RUNNER_ARRAY_SIZE": str(job.array.total),
        }
        if empty := [name for name, value in job.env.items() if not value]:
            given = {name: value for name, value in given.items() if value} | {
                "RUNNER_EMPTY": ",".join(empty)
            }
    if items is not None:
        given |= {f"RUNNER_ITEM_{place}": items[index] for place, index in enumerate(submission.indices)}
    return given


def overrides(job: Job, submission: Submission, items: Mapping[int, str] | None = None) -> Json:
    """What AWS Batch hands on to Amazon ECS, as far as it is the job's: see `planning.OVERRIDES`."""
    wrapped = not submission.native(job)
    command = shim.wrapped(job.command) if wrapped else job.command
    env = variables(job, submission, items, wrapped=wrapped)
    told = [(MAIN, command, env), *((each.name, each.command, each.env) for each in job.sidecars)]
    containers = [
        {"name": name, "command": list(command), "environment": environment(env)}
        for name, command, env in told
    ]
    return {"containerOverrides": containers, "taskRoleArn": job.role}


def request(
    job: Job,
    submission: Submission,
    definition: str,
    queue: BatchQueue,
    settings: BatchSettings,
    items: Mapping[int, str] | None = None,
) -> Json:
    wrapped = not submission.native(job)
    given: Json = {
        "jobName": name_of(settings.name, submission),
        "jobQueue": queue.job_queue,
        "jobDefinition": definition,
        "parameters": submission.parameters(),
        "retryStrategy": strategy.retry_strategy(job, submission.lot),
        "tags": {TAG: settings.name},
        "propagateTags": True,
    }
    if submission.size > 1:
        given["arrayProperties"] = {"size": submission.size}
    if (limit := strategy.timeout(job)) is not None:
        given["timeout"] = limit
    if queue.fair:
        given["shareIdentifier"] = share_of(job.user)
    overrides: Json = {"environment": environment(variables(job, submission, items, wrapped=wrapped))}
    if submission.lot.memory != job.limits.memory:
        overrides["resourceRequirements"] = resources(job.limits.vcpus, submission.lot.memory, queue)
    return {**given, **_overridden(job, overrides)}


def _overridden(job: Job, overrides: Json) -> Json:
    if not job.sidecars:
        return {"containerOverrides": overrides}
    return {"ecsPropertiesOverride": {"taskProperties": [{"containers": [{"name": MAIN, **overrides}]}]}}


def share_of(user: str) -> str:
    """Fair-share policies count by letters and digits only."""
    return "".join(c for c in user if c.isascii() and c.isalnum())[:LONGEST_SHARE] or "default"
