"""The Docker engine under the engine contract."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.adapters.docker import recovery
from runner.adapters.docker.engine import DockerEngine
from runner.adapters.docker.site import Site
from runner.adapters.docker.spec import HOST, Owner
from runner.array import Array
from runner.model import Job
from runner.ports import ContainerSpec, Engine
from tests.engines.rigs import Ability, Bench
from tests.images import busybox_image

_numbers = itertools.count()
_run = secrets.token_hex(4)


class DockerRig:
    name = "docker"
    abilities = frozenset(Ability)

    def __init__(self, home: Path) -> None:
        self._state = home.resolve() / "docker"
        self._elsewhere = home.resolve() / "elsewhere"
        self.engines: list[DockerEngine] = []
        self._used: set[tuple[str, Path]] = set()
        self.image: str | None = None

    async def engine(self, host: str, *, elsewhere: bool = False) -> Engine:
        return await self.docker(host, state=self._elsewhere if elsewhere else self._state)

    async def docker(
        self,
        host: str,
        docker_host: str | None = None,
        patience: float = 120.0,
        state: Path | None = None,
    ) -> DockerEngine:
        state = state or self._state
        engine = DockerEngine(host, 2, state, docker_host, time.time, patience)
        self.engines.append(engine)
        self._used.add((host, state))
        site = await engine.connected()
        self.image = self.image or await busybox_image(site.api)
        return engine

    async def crash(self, engine: Engine) -> None:
        """Its connections close, as the kernel would do; containers live on and nobody hears of their end."""
        assert isinstance(engine, DockerEngine)
        self.engines.remove(engine)
        site = await engine.connected()
        await site.background.cancel()
        await site.remover.background.cancel()
        await site.api.client.close()

    def job(self, job_id: str) -> Job:
        return Job(id=job_id, name=job_id, command=("true",), array=Array.of_size(1), image=self.image)

    def spec(self, host: str, command: Sequence[str], **changes: Any) -> ContainerSpec:
        fields: dict[str, Any] = {
            "name": f"test-{_run}-{next(_numbers)}",
            "host": host,
            "job_id": "job",
            "image": self.image,
            "command": tuple(command),
            "env": {},
            "vcpus": 1.0,
            "memory": 128 * 1024**2,
            "pids": 100,
            "grace": 5.0,
        }
        return ContainerSpec(**{**fields, **changes})

    def owner(self, host: str) -> Owner:
        return Owner(host, self._state)

    async def leftovers(self, host: str) -> Sequence[str]:
        site = await self._site()
        found = await recovery.find(site.api, self.owner(host))
        volumes = await site.api.client.call("GET", "volumes")
        labelled = [
            each["Name"] for each in volumes["Volumes"] or [] if (each["Labels"] or {}).get(HOST) == host
        ]
        names = [each["Names"][0] for each in (*found.tasks, *found.sidecars)]
        metadata = site.metadata_of(host)
        files = [file.name for file in metadata.iterdir()] if metadata.is_dir() else []
        return [*names, *labelled, *files]

    async def everything(self, host: str) -> Sequence[str]:
        found = await recovery.find((await self._site()).api, self.owner(host))
        return [*await self.leftovers(host), *(each["Names"][0] for each in found.sandboxes)]

    async def _site(self) -> Site:
        return await self.engines[0].connected()

    async def close(self) -> None:
        for engine in self.engines:
            await engine.close()
        for host, state in self._used:
            cleaner = DockerEngine(host, 0, state, None, time.time)
            with suppress(Exception):
                await cleaner.sweep(host)
            await cleaner.close()


def owner(bench: Bench) -> Owner:
    """Whose the containers of its engine are."""
    assert isinstance(bench.rig, DockerRig)
    return bench.rig.owner(bench.host)


async def an_image(home: Path) -> str:
    """The name of one that is on the engine."""
    rig = DockerRig(home)
    await rig.docker("loader")
    assert rig.image is not None
    await rig.close()
    return rig.image
