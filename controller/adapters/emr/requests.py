"""A job's attempt as Amazon EMR's parameters. Pure."""

from __future__ import annotations

import math
from typing import Any

from controller.adapters.emr.names import TAG, Name
from runner.emr import COMMAND_RUNNER, CONTINUE, Bootstrap, InstanceGroup, Step
from runner.emr_settings import EmrSettings
from runner.environment import task_environment
from runner.model import Attempt, Job

# What Amazon EMR's own role policies want to see on a cluster.
MANAGED = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}

# By so many seconds a command outlives its job's time limit, if nobody ends it then.
LATER = 600

Json = dict[str, Any]


def cluster_request(job: Job, attempt: Attempt, name: Name, settings: EmrSettings) -> Json:
    """RunJobFlow's. The cluster goes down by itself once it has no steps any more, whoever lives by then."""
    emr = job.emr
    assert emr is not None
    log_uri = emr.logs or settings.log_uri
    instances: Json = {
        "InstanceGroups": [_group(role, group) for role, group in emr.groups],
        "KeepJobFlowAliveWhenNoSteps": False,
        "TerminationProtected": False,
    }
    if settings.subnet:
        instances["Ec2SubnetId"] = settings.subnet
    return {
        "Name": str(name),
        "ReleaseLabel": emr.release,
        "Instances": instances,
        "Steps": [
            step_request(job, attempt, name, at, step, own=True) for at, step in enumerate(steps_of(job), 1)
        ],
        "Applications": [{"Name": each} for each in emr.applications],
        "BootstrapActions": [_bootstrap(at, each) for at, each in enumerate(emr.bootstrap, 1)],
        "ServiceRole": settings.service_role,
        "JobFlowRole": settings.instance_profile,
        "VisibleToAllUsers": True,
        "Tags": [
            {"Key": TAG, "Value": settings.name},
            {"Key": "runner-job", "Value": job.id},
            {"Key": "runner-attempt", "Value": f"{name.round}/{name.number}"},
            MANAGED,
        ],
        **({"LogUri": log_uri} if log_uri else {}),
    }


def steps_of(job: Job) -> tuple[Step, ...]:
    assert job.emr is not None
    return job.emr.steps_for(job.command, job.name)


def step_request(job: Job, attempt: Attempt, name: Name, position: int, step: Step, *, own: bool) -> Json:
    """`own`: on a cluster of its own, which a failure ends. On another's the next step is added by us: cancelling what
    waits there, as Amazon EMR would, would hit others' steps as well."""
    ends = own and step.on_failure != CONTINUE
    return {
        "Name": name.step(position, step.name),
        "ActionOnFailure": "TERMINATE_CLUSTER" if ends else "CONTINUE",
        "HadoopJarStep": {"Jar": step.jar, "Args": list(words(job, attempt, step))},
    }


def words(job: Job, attempt: Attempt, step: Step) -> tuple[str, ...]:
    """What the jar is told. A command's process has no variables but through `env`, and where nobody supervises no time
    limit but by `timeout`."""
    if not step.command:
        return step.args
    assert step.jar == COMMAND_RUNNER
    variables = task_environment(job, attempt, None)
    limit = job.limits.timeout
    limited = () if limit is None else ("timeout", "--kill-after=60", str(math.ceil(limit) + LATER))
    return (*limited, "env", *(f"{key}={value}" for key, value in variables.items()), *step.command)


def _group(role: str, group: InstanceGroup) -> Json:
    given: Json = {
        "Name": role.lower(),
        "InstanceRole": role,
        "InstanceType": group.instance_type,
        "InstanceCount": group.count,
        "Market": "SPOT" if group.spot else "ON_DEMAND",
    }
    # Without a bid Amazon EMR pays up to the price on demand.
    return given if group.bid is None else {**given, "BidPrice": f"{group.bid:.3f}"}


def _bootstrap(position: int, bootstrap: Bootstrap) -> Json:
    script = {"Path": bootstrap.path, "Args": list(bootstrap.args)}
    return {"Name": f"bootstrap {position}", "ScriptBootstrapAction": script}
