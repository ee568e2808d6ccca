"""What a task would find on AWS Batch, for a dry run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from controller.adapters.batch import strategy
from controller.adapters.batch.definitions import MIB, resources
from controller.adapters.batch.requests import variables
from controller.adapters.batch.submissions import LARGEST_ARRAY, Lot, Submission
from runner.batch_settings import BatchSettings
from runner.model import Job
from runner.units import format_duration, format_size

# What AWS Batch chooses only then.
BATCH_ID, ENVIRONMENT = "BATCHID", "ENVIRONMENT"


def environment(job: Job, settings: BatchSettings, index: int, item: str | None) -> dict[str, str]:
    """All variables that a first attempt's command sees, with names in place of what is not known before."""
    at_once = min(job.max_parallel or LARGEST_ARRAY, LARGEST_ARRAY)
    indices = tuple(islice((each for span in job.array.spans for each in span), at_once))
    submission = Submission(job.id, 1, Lot(0, 0, job.limits.memory), indices)
    given = {
        **variables(job, submission, None, wrapped=False),
        "AWS_BATCH_JOB_ID": f"{BATCH_ID}:{submission.place(index)}" if submission.size > 1 else BATCH_ID,
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_JOB_ARRAY_INDEX": str(index),
        "AWS_BATCH_JOB_ARRAY_SIZE": str(job.array.total),
        "AWS_BATCH_JQ_NAME": settings.queues[job.queue].job_queue.rpartition("/")[2],
        "AWS_BATCH_CE_NAME": ENVIRONMENT,
    }
    if item is not None:  # a draft's items are not stored yet
        given["RUNNER_ITEM"] = item
    if item is not None or not submission.native(job):
        given |= {"RUNNER_TASK_INDEX": str(index), "RUNNER_ATTEMPT": "1"}
    return given


def differences(job: Job, settings: BatchSettings) -> Iterator[str]:
    """What the job asks for and AWS Batch cannot give as it is."""
    asked = job.limits
    sizes = resources(asked.vcpus, asked.memory, settings.queues[job.queue])
    given = {each["type"]: each["value"] for each in sizes}
    if float(given["VCPU"]) != asked.vcpus:
        yield f"on AWS Batch {asked.vcpus:g} vCPUs are {given['VCPU']}"
    if (memory := int(given["MEMORY"]) * MIB) >= asked.memory + MIB:
        yield f"on AWS Batch {format_size(asked.memory)} are {format_size(memory)}"
    limit, granted = job.limits.timeout, strategy.timeout(job)
    if limit is not None and granted is not None and granted["attemptDurationSeconds"] != limit:
        text = format_duration(granted["attemptDurationSeconds"])
        yield f"on AWS Batch a time limit of {format_duration(limit)} is {text}"
