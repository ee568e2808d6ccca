"""What a job asks for that AWS Batch cannot give. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from controller.adapters.batch.definitions import definition_of, fargate_size
from controller.adapters.batch.details import MAIN
from controller.adapters.batch.planning import OVERRIDES, payload
from controller.adapters.batch.requests import overrides
from controller.adapters.batch.submissions import Lot, Submission
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Job
from runner.validation import Problem
from runner.wording import choices, shown

# Of the 24 KiB of a job definition.
DEFINITION = 23 * 1024
# Of the overrides, for the list of indices.
ROOM = 512

_RESERVED = "AWS_BATCH"


def problems(job: Job, settings: BatchSettings) -> Iterator[Problem]:
    """Each with the key it is about. What is only rounded (vCPUs, time limits below a minute) is in docs/batch.md."""
    queue = settings.queues.get(job.queue)
    if queue is None:
        yield ("queue",), f"unknown queue {shown(job.queue)}; {choices(job.queue, settings.queues)}"
        return
    if job.image is None or job.bare:
        yield ("image",), "missing: on AWS Batch everything runs in containers"
        return
    yield from _command_problems(job)
    yield from _variable_problems(job)
    yield from _secret_problems(job, settings)
    yield from _container_problems(job, queue, settings)
    yield from _size_problems(job, queue, settings)


def _command_problems(job: Job) -> Iterator[Problem]:
    if not job.command:
        yield (
            ("command",),
            "missing: AWS Batch cannot tell a single shard which it is, unless its command is known",
        )
    for at, word in enumerate(job.command):
        for problem in _word_problems(word):
            yield ("command", at), problem
    for number, sidecar in enumerate(job.sidecars):
        for word in sidecar.command:
            for problem in _word_problems(word):
                yield ("sidecars", number, "command"), problem


def _word_problems(word: str) -> Iterator[str]:
    if not word:
        yield "AWS Batch takes no empty words in a command"
    if "Ref::runner_" in word:
        yield "AWS Batch would put something else in place of Ref::runner_…"


def _variable_problems(job: Job) -> Iterator[Problem]:
    for name in job.env:
        if name.startswith(_RESERVED):
            yield ("env", name), f"names that begin with {_RESERVED} are AWS Batch's own"


def _secret_problems(job: Job, settings: BatchSettings) -> Iterator[Problem]:
    for secret in job.secrets:
        if secret.source != "arn":
            yield ("secrets", secret.name), "on AWS Batch a secret's value is found by its ARN only"
    if job.secrets and not settings.has_execution_role:
        problem = (
            "AWS Batch reads secrets in the execution role: give one, batch.execution_role in the settings"
        )
        yield ("secrets",), problem


def _container_problems(job: Job, queue: BatchQueue, settings: BatchSettings) -> Iterator[Problem]:
    if queue.fargate and not settings.has_execution_role:
        problem = "Fargate pulls images in the execution role: give one, batch.execution_role in the settings"
        yield ("queue",), problem
    if queue.fargate and fargate_size(job.limits.vcpus, job.limits.memory) is None:
        yield ("memory",), "Fargate has no task as large as that: at most 32 vCPUs and 244 GiB"
    if queue.fargate and job.mounts:
        yield ("mounts",), "Fargate has no host whose directories could be mounted"
    for number, sidecar in enumerate(job.sidecars):
        if sidecar.name == MAIN:
            yield ("sidecars", number, "name"), f"{MAIN!r} is the task's own container on AWS Batch"


def _size_problems(job: Job, queue: BatchQueue, settings: BatchSettings) -> Iterator[Problem]:
    size = payload(definition_of(job, queue, settings, wrapped=True))
    if size > DEFINITION:
        yield ("secrets",), f"all of the job is {size:,} bytes; AWS Batch takes {DEFINITION:,}"
    single = Submission(job.id or "x" * 10, 1, Lot(0, 1, job.limits.memory), (job.array.spans[0][0],))
    size = payload(overrides(job, single)) + ROOM
    if size > OVERRIDES:
        parts = {"command": job.command, "env": job.env, "sidecars": job.sidecars}
        largest = max(parts, key=lambda part: len(str(parts[part])))
        text = f"command and variables, also sidecars', are {size:,} bytes; Amazon ECS takes {OVERRIDES:,}"
        yield (largest,), text
