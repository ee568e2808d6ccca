"""From a job to an AWS Batch job definition, registered once for each content.

A definition is named after a digest of all that is in it. So equal jobs share one, whoever submits them, and a changed
job has another; nothing is ever changed in place under a job that waits.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from controller.adapters.batch import shim
from controller.adapters.batch.details import MAIN
from controller.adapters.batch.service import BatchService
from runner.batch_settings import LOG_GROUP, BatchQueue, BatchSettings
from runner.model import Job, Mount, Sidecar

MIB = 1024**2
GIB = 1024**3
TAG = "runner:installation"
LEAST_MIB = 4

SCRATCH = "/scratch"
SCRATCH_VOLUME = "scratch"

# The sizes of a task on Fargate: MiB by vCPUs, all ascending.
FARGATE: Mapping[float, Sequence[int]] = {
    0.25: (512, 1024, 2048),
    0.5: range(1024, 4097, 1024),
    1: range(2048, 8193, 1024),
    2: range(4096, 16385, 1024),
    4: range(8192, 30721, 1024),
    8: range(16384, 61441, 4096),
    16: range(32768, 122881, 8192),
    32: (61440, 122880, 249856),
}

Json = dict[str, Any]


def vcpus(value: float, queue: BatchQueue) -> str:
    """On EC2 AWS Batch knows whole vCPUs only."""
    return f"{value:g}" if queue.fargate else str(max(1, math.ceil(value)))


def mebibytes(size: int) -> str:
    return str(max(LEAST_MIB, math.ceil(size / MIB)))


def resources(cpus: float, memory: int, queue: BatchQueue) -> list[Json]:
    """`memory` in bytes. The largest there is, where more is asked for."""
    given = vcpus(cpus, queue), mebibytes(memory)
    if queue.fargate:
        size = fargate_size(cpus, memory) or (max(FARGATE), max(FARGATE[max(FARGATE)]))
        given = f"{size[0]:g}", f"{size[1]}"
    return [{"type": "VCPU", "value": given[0]}, {"type": "MEMORY", "value": given[1]}]


def fargate_size(cpus: float, memory: int) -> tuple[float, int] | None:
    """vCPUs and MiB of the smallest size that holds it; None: it is too large. `memory` in bytes."""
    sizes = ((each, mib) for each, steps in FARGATE.items() for mib in steps)
    return next((size for size in sizes if size[0] >= cpus and size[1] * MIB >= memory), None)


def environment(variables: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def definition_of(job: Job, queue: BatchQueue, settings: BatchSettings, *, wrapped: bool) -> Json:
    """RegisterJobDefinition's parameters, without a name. `wrapped`: with the shim."""
    given: Json = {"type": "container", "tags": {TAG: settings.name}}
    given["platformCapabilities"] = ["FARGATE" if queue.fargate else "EC2"]
    logs = _logs(settings)
    main = {**_main(job, queue, wrapped=wrapped), **logs}
    task: Json = {"volumes": _volumes(job, queue)}
    if settings.execution_role is not None:
        task["executionRoleArn"] = settings.execution_role
    if queue.fargate and queue.disk is not None:
        task["ephemeralStorage"] = {"sizeInGiB": max(21, math.ceil(queue.disk / GIB))}
    if not job.sidecars:
        role = {"jobRoleArn": job.role} if job.role else {}
        return {**given, "containerProperties": {**main, **task, **role}}
    role = {"taskRoleArn": job.role} if job.role else {}
    main |= {
        "name": MAIN,
        "essential": True,
        "dependsOn": [{"containerName": each.name, "condition": "START"} for each in job.sidecars],
    }
    containers = [main, *({**_sidecar(each, queue), **logs} for each in job.sidecars)]
    return {**given, "ecsProperties": {"taskProperties": [{**task, **role, "containers": containers}]}}


def _logs(settings: BatchSettings) -> Json:
    """Nothing for the group that is AWS Batch's own choice."""
    if settings.log_group == LOG_GROUP:
        return {}
    options = {"awslogs-group": settings.log_group, "awslogs-stream-prefix": settings.name}
    return {"logConfiguration": {"logDriver": "awslogs", "options": options}}


def _main(job: Job, queue: BatchQueue, *, wrapped: bool) -> Json:
    main: Json = {
        "image": job.image,
        "command": shim.wrapped(job.command) if wrapped else list(job.command),
        "resourceRequirements": resources(job.limits.vcpus, job.limits.memory, queue),
        "linuxParameters": {"initProcessEnabled": True},
        "mountPoints": [_scratch(), *(_mount_point(at, mount) for at, mount in enumerate(job.mounts))],
    }
    if job.secrets:
        main["secrets"] = [{"name": each.name, "valueFrom": each.reference} for each in job.secrets]
    return main


def _sidecar(sidecar: Sidecar, queue: BatchQueue) -> Json:
    container: Json = {
        "name": sidecar.name,
        "essential": False,
        "image": sidecar.image,
        "environment": environment({**sidecar.env, "RUNNER_SCRATCH": SCRATCH}),
        "resourceRequirements": [
            {"type": "VCPU", "value": vcpus(0.25, queue)},
            {"type": "MEMORY", "value": mebibytes(sidecar.memory)},
        ],
        "mountPoints": [_scratch()],
    }
    if sidecar.command:
        container["command"] = list(sidecar.command)
    return container


def _volumes(job: Job, queue: BatchQueue) -> list[Json]:
    # A host without a path: the engine makes a directory for the task and removes it afterwards.
    mounted = [
        {"name": f"mount-{at}", "host": {"sourcePath": mount.source}} for at, mount in enumerate(job.mounts)
    ]
    return [{"name": SCRATCH_VOLUME, **({} if queue.fargate else {"host": {}})}, *mounted]


def _scratch() -> Json:
    return {"sourceVolume": SCRATCH_VOLUME, "containerPath": SCRATCH, "readOnly": False}


def _mount_point(at: int, mount: Mount) -> Json:
    return {"sourceVolume": f"mount-{at}", "containerPath": mount.target, "readOnly": not mount.writable}


class Definitions:
    """Finds or registers them. Two processes that register the same at once make two revisions of equal content."""

    def __init__(self, service: BatchService, installation: str) -> None:
        self._service = service
        self._installation = installation
        self._known: dict[str, str] = {}

    async def arn(self, given: Json) -> str:
        """Raises AwsError."""
        digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:24]
        name = f"{self._installation}-{digest}"
        if name not in self._known:
            self._known[name] = await self._find(name) or await self._register(name, given)
        return self._known[name]

    def forget(self) -> None:
        """What is known may have been removed by somebody."""
        self._known.clear()

    async def _find(self, name: str) -> str | None:
        reply = await self._service.call("describe_job_definitions", jobDefinitionName=name, status="ACTIVE")
        found = reply.get("jobDefinitions") or ()
        return str(found[0]["jobDefinitionArn"]) if found else None

    async def _register(self, name: str, given: Json) -> str:
        reply = await self._service.call("register_job_definition", jobDefinitionName=name, **given)
        return str(reply["jobDefinitionArn"])
