"""Whether AWS Batch is there as the settings want it, and takes jobs."""

from __future__ import annotations

from collections.abc import Sequence

from controller.deployment.compute_environments import Part
from controller.deployment.findings import Findings
from controller.deployment.job_queues import order, own_queues
from controller.deployment.linked_roles import has_linked_role, linked_roles
from controller.deployment.resource_checks import DEPLOY, REGION
from runner.aws import Aws, Reply
from runner.batch_settings import LOG_GROUP, BatchSettings
from runner.settings import FleetSettings, Settings

WORKS = frozenset({"VALID", "UPDATING"})
AT_ONCE = 100
THEIRS = "make it, or name another as job_queue in batch.queues"


async def check_batch(
    aws: Aws, batch: BatchSettings, fleet: FleetSettings | None, findings: Findings
) -> None:
    """`fleet` None: all job queues are the user's own."""
    own = own_queues(fleet, batch) if fleet is not None else ()
    wanted = {queue: order(fleet, queue) for queue in own} if fleet is not None else {}
    await _check_environments(aws, wanted, batch, findings)
    await _check_queues(aws, wanted, batch, findings)
    await _check_execution_role(aws, batch, findings, deployed=fleet is not None)
    await _check_log_group(aws, batch, findings)


async def check_linked_roles(aws: Aws, settings: Settings, findings: Findings) -> None:
    for service, role in linked_roles(settings).items():
        create = f"`aws iam create-service-linked-role --aws-service-name {service}.amazonaws.com`"
        await _check_role(aws, role, create, findings, deployed=settings.fleet is not None)


async def _check_role(aws: Aws, name: str, otherwise: str, findings: Findings, *, deployed: bool) -> None:
    """`otherwise`: what helps beside `deploy`, which is for a fleet's settings."""
    subject = f"role {name}"
    async with findings.about(subject):
        found = await has_linked_role(aws, name)
        if found is None:
            findings.unknown(subject, "you may not look (iam:GetRole)")
        elif found:
            findings.ok(subject)
        else:
            step = f"{DEPLOY}, or {otherwise}" if deployed else otherwise
            findings.problem(subject, "is not in this account", step)


async def _check_environments(
    aws: Aws, wanted: dict[str, Sequence[Part]], batch: BatchSettings, findings: Findings
) -> None:
    expected = {part.name: part for parts in wanted.values() for part in parts}
    found: dict[str, Reply] = {}
    async with findings.about("compute environments"):
        names = list(expected)
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            reply = await aws.call("batch", "describe_compute_environments", computeEnvironments=some)
            described = reply.get("computeEnvironments") or ()
            found |= {str(each["computeEnvironmentName"]): each for each in described}
        for name, part in expected.items():
            _check_environment(f"compute environment {name}", found.get(name), part, batch, findings)


def _check_environment(
    subject: str, found: Reply | None, part: Part, batch: BatchSettings, findings: Findings
) -> None:
    if found is None:
        findings.problem(subject, f"is not in {batch.region}", REGION)
        return
    resources: Reply = found.get("computeResources") or {}
    bounds = int(resources.get("minvCpus") or 0), int(resources.get("maxvCpus") or 0)
    if wrong := _stopped(found):
        command = f"update-compute-environment --compute-environment {part.name}"
        findings.problem(subject, wrong, _open(found, command))
    elif bounds != part.vcpus:
        least, most = part.vcpus
        detail = f"has bounds {bounds[0]} to {bounds[1]} vCPUs, not {least} to {most}"
        findings.problem(subject, detail, DEPLOY)
    else:
        findings.ok(subject, f"{resources.get('desiredvCpus', 0)} of {bounds[1]} vCPUs")


async def _check_queues(
    aws: Aws, wanted: dict[str, Sequence[Part]], batch: BatchSettings, findings: Findings
) -> None:
    for name, queue in batch.queues.items():
        subject = f"job queue {queue.job_queue}"
        async with findings.about(subject):
            reply = await aws.call("batch", "describe_job_queues", jobQueues=[queue.job_queue])
            found = next(iter(reply.get("jobQueues") or ()), None)
            if found is None:
                step = REGION if name in wanted else THEIRS
                findings.problem(subject, f"is not in {batch.region}", step)
            elif wrong := _stopped(found):
                step = _open(found, f"update-job-queue --job-queue {queue.job_queue}")
                findings.problem(subject, wrong, step)
            elif name in wanted and _served_by(found) != [part.name for part in wanted[name]]:
                findings.problem(subject, f"is served by {', '.join(_served_by(found)) or 'none'}", DEPLOY)
            else:
                findings.ok(subject, f"served by {', '.join(_served_by(found))}")


def _stopped(found: Reply) -> str:
    """Why it takes no jobs; empty if it does."""
    state, status = str(found.get("state")), str(found.get("status"))
    if state == "ENABLED" and status in WORKS:
        return ""
    why = f": {found['statusReason']}" if found.get("statusReason") else ""
    return f"is {state} and {status}{why}"


def _open(found: Reply, command: str) -> str:
    """A stack that says the same as before does not open what was closed since."""
    if found.get("state") == "ENABLED":
        return "mend what it says"
    return f"`aws batch {command} --state ENABLED`"


def _served_by(queue: Reply) -> list[str]:
    """In order."""
    listed = sorted(queue.get("computeEnvironmentOrder") or (), key=lambda each: int(each["order"]))
    return [str(each["computeEnvironment"]).rpartition("/")[2] for each in listed]


async def _check_execution_role(
    aws: Aws, batch: BatchSettings, findings: Findings, *, deployed: bool
) -> None:
    """`batch` with the role's ARN where there is to be one."""
    if batch.execution_role is None:
        return
    name = batch.execution_role.rpartition("/")[2]
    await _check_role(aws, name, "mend batch.execution_role", findings, deployed=deployed)


async def _check_log_group(aws: Aws, batch: BatchSettings, findings: Findings) -> None:
    """That of AWS Batch itself, which nobody makes: it is there from the first job on, and forgets nothing."""
    if batch.log_group != LOG_GROUP:
        return
    subject = f"log group {LOG_GROUP}"
    async with findings.about(subject):
        reply = await aws.call("logs", "describe_log_groups", logGroupNamePrefix=LOG_GROUP)
        found = [each for each in reply.get("logGroups") or () if each["logGroupName"] == LOG_GROUP]
        if found and not found[0].get("retentionInDays"):
            step = f"`aws logs put-retention-policy --log-group-name {LOG_GROUP} --retention-in-days 90`"
            findings.unknown(subject, "keeps what tasks write for ever, and charges for it", step)
        else:
            findings.ok(subject)
