"""What a job asks for that AWS Batch cannot give. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from controller.adapters.batch.definitions import definition_of
from controller.adapters.batch.details import MAIN
from controller.adapters.batch.planning import PAYLOAD, payload
from controller.adapters.batch.requests import request
from controller.adapters.batch.submissions import Lot, Submission
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Job
from runner.validation import Problem
from runner.wording import choices, shown

# Of the 24 KiB of a job definition.
DEFINITION = 23 * 1024
ROOM = 2048

_RESERVED = "AWS_BATCH"
_LONGEST_ARN = "a" * 256


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
        if not word:
            yield ("command", at), "AWS Batch takes no empty words in a command"
        if word.startswith("Ref::runner_"):
            yield ("command", at), "AWS Batch would put something else in place of Ref::runner_…"
    for number, sidecar in enumerate(job.sidecars):
        if "" in sidecar.command:
            yield ("sidecars", number, "command"), "AWS Batch takes no empty words in a command"


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
    if queue.fargate and job.mounts:
        yield ("mounts",), "Fargate has no host whose directories could be mounted"
    for number, sidecar in enumerate(job.sidecars):
        if sidecar.name == MAIN:
            yield ("sidecars", number, "name"), f"{MAIN!r} is the task's own container on AWS Batch"


def _size_problems(job: Job, queue: BatchQueue, settings: BatchSettings) -> Iterator[Problem]:
    size = payload(definition_of(job, queue, settings, wrapped=True))
    if size > DEFINITION:
        yield ("command",), f"image, command and the like are {size:,} bytes; AWS Batch takes {DEFINITION:,}"
    known = replace(job, id=job.id or "x" * 10)
    index = known.array.spans[0][0]
    single = Submission(known.id, 1, Lot(0, 0, known.limits.memory), (index,))
    size = payload(request(known, single, _LONGEST_ARN, queue, settings)) + ROOM
    if size > PAYLOAD:
        yield ("env",), f"with its variables a submission is {size:,} bytes; AWS Batch takes {PAYLOAD:,}"
