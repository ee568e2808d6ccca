"""Why AWS Batch does not run what it was given: what it says of the job, its queue and their compute environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.adapters.batch.details import BatchJob, batch_job
from controller.adapters.batch.service import BatchService
from controller.adapters.batch.submissions import name_prefix, submission_in
from controller.model import Reason
from runner.aws import Aws, Reply
from runner.batch_settings import BatchSettings
from runner.records import JobRecord
from runner.units import format_duration

# While instances boot AWS Batch may say of jobs that nothing could hold them. Said for so long, in seconds, it is true.
BELIEVED = 600.0

# What its reasons begin with, and what to do about it.
_MEANINGS = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": (
        "there are no such instances to be had: allow more instance types, zones or on-demand instances"
    ),
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": (
        "the environments' maximum of vCPUs is less than a task needs: raise it"
    ),
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": (
        "no instance type of the environments holds a task: allow larger ones, or ask for less"
    ),
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": (
        "the environment's service role lacks rights: `runner-controller doctor` names them"
    ),
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": (
        "EC2 does not start instances as the launch template and the types have them"
    ),
}
_PASSING = ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


@dataclass(frozen=True, slots=True)
class Outlook:
    """`waiting`: one Batch job of those that wait; None if none does. `queue` None: there is none of that name."""

    now: float
    queue_name: str
    waiting: BatchJob | None
    queue: Reply | None
    environments: Sequence[Reply]


async def reasons_of(aws: Aws, settings: BatchSettings, record: JobRecord, now: float) -> list[Reason]:
    """Why the job's tasks wait, the most decisive first. Raises AwsError."""
    queue = settings.queues.get(record.job.queue)
    if queue is None:
        return [Reason("unknown_queue", f"The queue {record.job.queue!r} is not in the settings any more.")]
    service = BatchService(aws)
    waiting = await _waiting(service, settings, record, queue.job_queue)
    found = (await aws.call("batch", "describe_job_queues", jobQueues=[queue.job_queue])).get(
        "jobQueues"
    ) or ()
    order: Sequence[Reply] = found[0].get("computeEnvironmentOrder") or () if found else ()
    environments: Sequence[Reply] = ()
    if order:
        names = [str(each["computeEnvironment"]) for each in order]
        reply = await aws.call("batch", "describe_compute_environments", computeEnvironments=names)
        environments = reply.get("computeEnvironments") or ()
    outlook = Outlook(now, queue.job_queue, waiting, found[0] if found else None, environments)
    return list(reasons(outlook))


def reasons(outlook: Outlook) -> Iterator[Reason]:
    if outlook.queue is None:
        yield Reason("batch_queue", f"AWS Batch has no job queue {outlook.queue_name!r}: deploy makes it.")
        return
    yield from _of_queue(outlook.queue)
    for environment in outlook.environments:
        yield from _of_environment(environment)
    if outlook.waiting is not None:
        yield from _of_job(outlook.waiting, outlook.now)


def _of_queue(queue: Reply) -> Iterator[Reason]:
    if queue.get("state") != "ENABLED" or queue.get("status") not in ("VALID", "UPDATING"):
        why = f": {queue['statusReason']}" if queue.get("statusReason") else ""
        state = f"{queue.get('state')} and {queue.get('status')}"
        yield Reason("batch_queue", f"The job queue {queue.get('jobQueueName')} is {state}{why}.")


def _of_environment(environment: Reply) -> Iterator[Reason]:
    name, resources = environment.get("computeEnvironmentName"), environment.get("computeResources") or {}
    if environment.get("state") != "ENABLED" or environment.get("status") not in ("VALID", "UPDATING"):
        why = f": {environment['statusReason']}" if environment.get("statusReason") else ""
        state = f"{environment.get('state')} and {environment.get('status')}"
        yield Reason("batch_environment", f"The compute environment {name} is {state}{why}.")
    most, desired = resources.get("maxvCpus"), resources.get("desiredvCpus")
    if most is not None and desired is not None and desired >= most:
        text = f"The compute environment {name} is as large as it may be: {desired} of {most} vCPUs."
        yield Reason("batch_environment_full", text)


def _of_job(job: BatchJob, now: float) -> Iterator[Reason]:
    waited = max(0.0, now - job.created_at)
    since = f"for {format_duration(waited)}"
    if not job.reason:
        text = f"AWS Batch has it {job.status} {since}, and does not say why: it does of a queue's first job only"
        yield Reason("batch_waits", f"{text} ({job.id}).")
        return
    meaning = next((text for sign, text in _MEANINGS.items() if job.reason.startswith(sign)), "")
    means = f"; {meaning}" if meaning else ""
    if job.reason.startswith(_PASSING) and waited < BELIEVED:
        means = "; it says so while instances boot, too, so for now that need not mean anything"
    yield Reason("batch_reason", f"AWS Batch has it {job.status} {since} and says: {job.reason}{means}.")


async def _waiting(
    service: BatchService, settings: BatchSettings, record: JobRecord, queue: str
) -> BatchJob | None:
    """The first of the job's that has not started; of an array, its first child that has not."""
    details = await service.describe(await service.named(queue, name_prefix(settings.name, record.job.id)))
    for detail in details.values():
        job, submission = batch_job(detail), submission_in(detail)
        if submission is None or submission.job_id != record.job.id or job.over:
            continue
        if job.counts is None:
            if job.status not in ("STARTING", "RUNNING"):
                return job
        elif job.counts.get("RUNNABLE"):
            async for child in service.children(job.id, "RUNNABLE"):
                found = await service.describe([child])
                return batch_job(found[child]) if child in found else job
        elif job.counts.get("PENDING") or job.status == "SUBMITTED":
            return job
    return None
