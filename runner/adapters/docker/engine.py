"""A Docker engine as the agent's Engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from runner.adapters.docker import recovery, starter
from runner.adapters.docker.address import find_address
from runner.adapters.docker.api import Api
from runner.adapters.docker.background import Background
from runner.adapters.docker.client import ApiError, Client, NoAnswerError
from runner.adapters.docker.executable import Executables
from runner.adapters.docker.images import Images
from runner.adapters.docker.reclaiming import reclaim_images
from runner.adapters.docker.removal import Remover
from runner.adapters.docker.sandbox import PauseImage, Sandboxes
from runner.adapters.docker.site import Site
from runner.adapters.docker.spec import Owner
from runner.adapters.docker.usage import Meters
from runner.adapters.docker.watch import SignalWatch
from runner.errors import EngineUnavailable
from runner.model import Job
from runner.ports import Clock, Container, ContainerSpec, Output

log = structlog.get_logger()

# How long an engine may be away, being restarted say, before what runs on it is given up.
PATIENCE = 120.0
CHECK = 5.0
# How long close() lets removals go on.
SETTLE = 5.0


class DockerEngine:
    """Starts containers for an agent named `host`, `slots` of them at once when it is busy.

    `state` is a directory of the agent's own that the engine can mount files from. `docker_host` as in
    DOCKER_HOST; None looks where the `docker` command would. Raises BadInput for an address that cannot be
    used; connects when first needed.
    """

    def __init__(
        self,
        host: str,
        slots: int,
        state: Path,
        docker_host: str | None,
        now: Clock,
        patience: float = PATIENCE,
    ) -> None:
        self._host = host
        self._slots = slots
        self._state = state.resolve()  # the same, by whatever way an agent came to it
        self._now = now
        self._patience = patience
        self._client = Client(find_address(docker_host, os.environ, Path.home()))
        self._background = Background()
        self._connecting = asyncio.Lock()
        self._site: Site | None = None

    @property
    def name(self) -> str:
        return "docker"

    async def prepare(self, job: Job, concurrency: int) -> None:
        site = await self.connected()
        site.sandboxes.expect(concurrency)
        for name in (job.image, *(sidecar.image for sidecar in job.sidecars)):
            if name is not None:
                await site.images.ensure(name)

    async def start(self, spec: ContainerSpec, output: Output) -> Container:
        site = await self.connected()
        return await starter.start(site, spec, output)

    async def recover(
        self, host: str, output: Callable[[Mapping[str, str]], Output | None]
    ) -> Sequence[Container]:
        site = await self.connected()
        try:
            return await recovery.recover(site, host, output)
        except (ApiError, NoAnswerError) as error:
            raise EngineUnavailable(self._explain(error)) from error

    async def sweep(self, host: str, wanted: Callable[[], bool] = lambda: True) -> int:
        site = await self.connected()
        try:
            return await recovery.sweep(site, host, wanted)
        except (ApiError, NoAnswerError) as error:
            raise EngineUnavailable(self._explain(error)) from error

    async def check(self) -> str:
        try:
            await self._client.call("GET", "/_ping", seconds=CHECK)
            await self.connected()
        except (ApiError, NoAnswerError) as error:
            return self._explain(error)
        except EngineUnavailable as error:
            return str(error)
        return ""

    async def reclaim(self) -> None:
        """Remove images that nothing uses. For machines that are the runner's alone. Raises EngineUnavailable."""
        site = await self.connected()
        try:
            await reclaim_images(site.api, site.images)
        except (ApiError, NoAnswerError) as error:
            raise EngineUnavailable(self._explain(error)) from error

    async def close(self) -> None:
        """Removes what was kept ready. What still runs goes on, for whoever recovers it."""
        if self._site is not None:
            await self._site.sandboxes.close()
            await self._site.images.close()
            await self._site.remover.close(SETTLE)
            self._site.meters.clean()
        await self._background.cancel()
        await self._client.close()

    async def connected(self) -> Site:
        """What containers work with, once the engine has answered. Raises EngineUnavailable."""
        async with self._connecting:
            if self._site is None:
                try:
                    self._site = await self._connect()
                except (ApiError, NoAnswerError) as error:
                    raise EngineUnavailable(self._explain(error)) from error
                self._background.spawn(self._site.signals.run())
            return self._site

    async def _connect(self) -> Site:
        api = Api(self._client)
        info = await api.negotiate()
        if info.get("OSType") != "linux":
            message = (
                f"Docker at {self._client.address.url} runs {info.get('OSType')} containers, not Linux ones"
            )
            raise EngineUnavailable(message)
        limits_cpus = bool(info.get("CpuCfsQuota", True))
        if not limits_cpus:
            log.warning(
                "the engine cannot limit CPUs: tasks take what they get", engine=self._client.address.url
            )
        images = Images(api, Path.home() / ".docker")
        owner = Owner(self._host, self._state)
        remover = Remover(api)
        pause = PauseImage(images, str(info["Architecture"]))
        return Site(
            api=api,
            images=images,
            sandboxes=Sandboxes(api, pause, remover, self._background, owner, self._slots),
            executables=Executables(api),
            remover=remover,
            meters=Meters(api, owner, info),
            signals=SignalWatch(api, owner),
            background=self._background,
            now=self._now,
            state=self._state,
            cpus=int(info["NCPU"]) if limits_cpus else None,
            patience=self._patience,
        )

    def _explain(self, error: ApiError | NoAnswerError) -> str:
        return complaint(self._client.address.url, error)


def complaint(url: str, error: Exception) -> str:
    """One line on why the engine there cannot be used."""
    if "permission denied" in str(error).lower():
        return f"no right to use Docker at {url}: this user is not in the group that may (usually `docker`)"
    return f"Docker at {url} does not answer: {error}"
