"""What an earlier agent on this host left on the engine: taken over, or removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from runner.adapters.docker.api import Api, Details
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.container import DockerContainer, Made
from runner.adapters.docker.ending import epoch, has_started, is_running
from runner.adapters.docker.removal import Remover
from runner.adapters.docker.sandbox import Sandbox
from runner.adapters.docker.site import Site
from runner.adapters.docker.spec import (
    GRACE,
    HOST,
    JOB,
    ROLE,
    SANDBOX_ROLE,
    SHARD,
    SIDECAR_ROLE,
    TASK,
    TASK_ROLE,
    Owner,
    given_labels,
)
from runner.errors import EngineUnavailable
from runner.ports import Output

log = structlog.get_logger()

JOINED = "container:"


@dataclass
class Found:
    """A host's containers by role, as the engine lists them."""

    tasks: list[Details] = field(default_factory=list)
    sidecars: list[Details] = field(default_factory=list)
    sandboxes: list[Details] = field(default_factory=list)

    async def remove(self, remover: Remover, keep: Collection[str] = ()) -> bool:
        """True when all are gone but those to keep. Who shares a volume goes before its owner, who owns a
        network last.
        """
        gone = True
        for group in (self.sidecars, self.tasks, self.sandboxes):
            going = [each for each in group if each["Id"] not in keep]
            removals = (remover.remove(each["Id"], shard=each["Labels"].get(SHARD, "")) for each in going)
            gone &= all(await asyncio.gather(*removals))
        return gone


async def find(api: Api, owner: Owner) -> Found:
    found = Found()
    places = {
        TASK_ROLE: found.tasks,
        SIDECAR_ROLE: found.sidecars,
        SANDBOX_ROLE: found.sandboxes,
    }
    for container in await api.containers(owner.labels):
        if (role := container["Labels"].get(ROLE)) in places:
            places[role].append(container)
    return found


async def recover(
    site: Site, host: str, output: Callable[[Mapping[str, str]], Output | None]
) -> list[DockerContainer]:
    """Adopt those of the host's tasks that `output` has a place for; remove all else that nobody here
    holds.
    """
    found = await find(site.api, site.owner(host))
    unknown = [task for task in found.tasks if task["Id"] not in site.live]
    offered = [await _adopt(site, task, found.sidecars, output) for task in unknown]
    adopted = [container for container in offered if container is not None]
    keep = site.live | site.sandboxes.known
    await found.remove(site.remover, keep)
    await _prune_volumes(site, host)
    kept = {task["Labels"][TASK] for task in found.tasks if task["Id"] in keep}
    site.meters.clean(kept)
    _clean_metadata(site.metadata_of(host), kept)
    return adopted


async def _adopt(
    site: Site,
    task: Details,
    sidecars: Iterable[Details],
    output: Callable[[Mapping[str, str]], Output | None],
) -> DockerContainer | None:
    labels = given_labels(task["Labels"])
    details = await site.api.find(task["Id"])
    if details is None or not has_started(details):
        return None
    place = output(labels)
    if place is None:
        return None
    name = details["Name"].lstrip("/")
    config = details["HostConfig"]
    made = Made(
        id=task["Id"],
        name=name,
        labels=labels,
        started_at=epoch(details["State"]["StartedAt"]),
        meter=site.meters.adopted(config.get("CgroupParent") or ""),
        metadata=site.metadata(task["Labels"][HOST], name),
        sandbox=_sandbox(site, config["NetworkMode"], task["Labels"].get(JOB, ""), is_running(details)),
        sidecars=tuple(each["Id"] for each in sidecars if each["Labels"].get(TASK) == name),
        grace=float(task["Labels"].get(GRACE, 0.0)),
        shard=task["Labels"].get(SHARD, ""),
        ended_unseen=not is_running(details),
    )
    return DockerContainer(site, made, place)


def _sandbox(site: Site, network: str, job_id: str, running: bool) -> Sandbox | None:
    """The sandbox the task runs in; one that has ended needs none any more."""
    if not running or not network.startswith(JOINED):
        return None
    sandbox = Sandbox(network.removeprefix(JOINED), job_id)
    site.sandboxes.adopt(sandbox)
    return sandbox


async def _prune_volumes(site: Site, host: str) -> None:
    """Those of containers that are gone. The engine refuses while it prunes for somebody else, and they can
    wait.
    """
    try:
        await site.api.prune_volumes(site.owner(host).labels)
    except (ApiError, NoAnswerError) as error:
        log.warning("cannot prune volumes", host=host, error=str(error))


def _clean_metadata(directory: Path, names: Collection[str] = ()) -> None:
    if directory.is_dir():
        for file in directory.iterdir():
            if file.name not in names:
                file.unlink(missing_ok=True)


async def sweep(site: Site, host: str, wanted: Callable[[], bool]) -> int:
    """Remove all of a host's containers, if that is `wanted` once they are known. Returns how many tasks there
    were. Raises EngineUnavailable.
    """
    found = await find(site.api, site.owner(host))
    if not wanted():
        return 0
    gone = await found.remove(site.remover)
    await _prune_volumes(site, host)
    if wanted():  # else these may be another agent's by now
        site.meters.clean()
        _clean_metadata(site.metadata_of(host))
    if not gone:
        message = f"the engine does not remove all containers of {host}"
        raise EngineUnavailable(message)
    return len(found.tasks)
