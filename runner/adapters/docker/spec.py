"""From what a task needs to what the engine's API wants to read. Pure."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import StartError
from runner.model import Mount, Sidecar
from runner.ports import ContainerSpec

SCRATCH = "/scratch"
METADATA = "/runner/metadata"

# Labels on whatever we make. What the spec's own labels are called is the spec's affair, so theirs get a
# prefix.
HOST = "runner.host"
INSTALLATION = "runner.installation"
ROLE = "runner.role"
JOB = "runner.job"
SHARD = "runner.shard"
TASK = "runner.task"
GRACE = "runner.grace"
LAUNCH = "runner.launch"
GIVEN = "runner.label."

TASK_ROLE = "task"
SIDECAR_ROLE = "sidecar"
SANDBOX_ROLE = "sandbox"

# What the engine itself keeps of the output, for an agent that takes over from one that died.
LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}

LEAST_CPUS = 0.01
LONGEST_NAME = 120

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a container is. Several installations may use one engine, and call their hosts the same: what
    tells them apart is `state`, the absolute directory that each keeps for itself.
    """

    host: str
    state: Path

    @property
    def labels(self) -> dict[str, str]:
        installation = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:12]
        return {HOST: self.host, INSTALLATION: installation}

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self.labels).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Placing:
    """Where and how a spec is to run this time. `launch` is a number used once, `cpus` how many the engine
    has, None if it cannot limit them.
    """

    owner: Owner
    launch: str
    sandbox: str
    cpus: int | None
    metadata: str
    cgroup_parent: str | None = None


def container_name(name: str) -> str:
    """`name` itself if the engine takes it, else one as readable that no other name is made into."""
    safe = re.sub(r"[^a-zA-Z0-9_.-]", "-", name)[:LONGEST_NAME]
    if safe == name and re.match(r"[a-zA-Z0-9].", name):
        return name
    return f"runner-{safe}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:12]}"


def shard(job_id: str, index: int | None) -> str:
    """Names the task, for all its attempts; empty for what is no task's."""
    return "" if index is None else f"{job_id}/{index}"


def sidecar_name(task: str, sidecar: Sidecar) -> str:
    return container_name(f"{task}.{sidecar.name}")


def check(spec: ContainerSpec) -> None:
    """Raises StartError for what no program can be given, naming a variable and never its value.

    The engine would repeat the value in its own message, or quietly put other characters in its place.
    """
    _check_environment(spec.env)
    for sidecar in spec.sidecars:
        _check_environment(sidecar.env)
    for word in (*spec.command, *(word for sidecar in spec.sidecars for word in sidecar.command)):
        if not _is_text(word):
            message = f"{word!r} in the command holds a NUL byte or is not valid Unicode"
            raise StartError(message)


def _check_environment(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        if not name or "=" in name or not _is_text(name):
            message = f"{name!r} cannot be the name of an environment variable"
            raise StartError(message)
        if not _is_text(value):
            message = f"the value of the environment variable {name} holds a NUL byte or is not valid Unicode"
            raise StartError(message)


def _is_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def task_body(spec: ContainerSpec, placing: Placing) -> Body:
    env = {**spec.env, "RUNNER_SCRATCH": SCRATCH, "RUNNER_METADATA": METADATA}
    labels = {f"{GIVEN}{key}": value for key, value in spec.labels.items()}
    labels |= _labels(spec, TASK_ROLE, placing)
    host = _host_config(placing, spec.memory, spec.vcpus, spec.pids)
    host["Mounts"] = [
        {"Type": "volume", "Target": SCRATCH, "VolumeOptions": {"Labels": placing.owner.labels}},
        _bind(Mount(placing.metadata, METADATA, writable=True)),
        *(_bind(mount) for mount in spec.mounts),
    ]
    if placing.cgroup_parent:
        host["CgroupParent"] = placing.cgroup_parent
    return _body(spec.image, spec.command, env, labels, host)


def sidecar_body(spec: ContainerSpec, sidecar: Sidecar, placing: Placing, scratch: str) -> Body:
    """`scratch` names the task's volume."""
    host = _host_config(placing, sidecar.memory, math.inf, spec.pids)
    host["Mounts"] = [{"Type": "volume", "Source": scratch, "Target": SCRATCH}]
    env = {**sidecar.env, "RUNNER_SCRATCH": SCRATCH}
    return _body(sidecar.image, sidecar.command, env, _labels(spec, SIDECAR_ROLE, placing), host)


def sandbox_body(owner: Owner, image: str) -> Body:
    """A container that does nothing but own a network of its own."""
    return {
        "Image": image,
        "Labels": {**owner.labels, ROLE: SANDBOX_ROLE},
        "Entrypoint": ["/pause"],
        "User": "65534:65534",
        # Nothing else ends it, being process 1 without a handler: the engine would wait ten seconds for it.
        "StopSignal": "SIGKILL",
        "HostConfig": {
            "SecurityOpt": ["no-new-privileges"],
            "CapDrop": ["ALL"],
            "ReadonlyRootfs": True,
            "LogConfig": {"Type": "none"},
        },
    }


def given_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The spec's labels, as they were, from a container's."""
    return {key.removeprefix(GIVEN): value for key, value in labels.items() if key.startswith(GIVEN)}


def _labels(spec: ContainerSpec, role: str, placing: Placing) -> dict[str, str]:
    return {
        **placing.owner.labels,
        ROLE: role,
        JOB: spec.job_id,
        SHARD: shard(spec.job_id, spec.index),
        TASK: container_name(spec.name),
        GRACE: str(spec.grace),
        LAUNCH: placing.launch,
    }


def _host_config(placing: Placing, memory: int, cpus: float, pids: int) -> Body:
    host: Body = {
        "NetworkMode": f"container:{placing.sandbox}",
        "Init": True,
        "SecurityOpt": ["no-new-privileges"],
        "Memory": memory,
        "MemorySwap": memory,  # memory and swap together: no swap
        "PidsLimit": pids,
        "LogConfig": LOG,
    }
    if placing.cpus is not None:
        # The engine refuses more than it has.
        host["NanoCpus"] = int(max(LEAST_CPUS, min(cpus, placing.cpus)) * 1e9)
    return host


def _bind(mount: Mount) -> Body:
    # As a mount and not as a `bind`: for those the engine makes a missing source, as a directory of root's.
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": not mount.writable,
    }


def _body(
    image: str | None, command: tuple[str, ...], env: Mapping[str, str], labels: Mapping[str, str], host: Body
) -> Body:
    body: Body = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": dict(labels),
        # A probe the image brings along would be run again and again inside the task.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if command:
        body["Cmd"] = list(command)
    return body
