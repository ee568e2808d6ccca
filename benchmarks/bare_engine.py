"""The least that containers on the engine's API can cost: create, start, wait, remove, and nothing else.

Each container is asked for exactly as ours are, and joins the network of a sandbox that was made before.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.image import open_api
from benchmarks.installation import MEMORY
from runner.adapters.docker import pause
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError
from runner.adapters.docker.spec import Owner, Placing, sandbox_body, task_body
from runner.model import Limits
from runner.ports import ContainerSpec

HOST = "bare-benchmark"


@dataclass(frozen=True)
class BareEngine:
    """`sandboxes`: ids of containers to join, one for each container at once."""

    api: Api
    cpus: int
    sandboxes: tuple[str, ...]
    space: Path
    image: str

    async def run(self, command: tuple[str, ...], size: int) -> float:
        """Seconds for `size` containers, as many at once as there are sandboxes."""
        left = iter(range(size))
        run = secrets.token_hex(4)
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for sandbox in self.sandboxes:
                group.create_task(self._work(sandbox, left, command, run))
        return time.perf_counter() - begun

    async def _work(self, sandbox: str, left: Iterator[int], command: tuple[str, ...], run: str) -> None:
        metadata = self.space / f"metadata-{sandbox[:12]}"
        metadata.touch()
        placing = Placing(Owner(HOST, self.space), run, sandbox, self.cpus, str(metadata))
        for index in left:
            body = task_body(self._spec(f"bare-{run}-{index}", command), placing)
            container = await self.api.create(f"bare-{run}-{index}", body)
            await self.api.start(container)
            await self.api.wait(container)
            await self.api.remove(container)

    def _spec(self, name: str, command: tuple[str, ...]) -> ContainerSpec:
        limits = Limits(memory=MEMORY)
        return ContainerSpec(
            name=name,
            host=HOST,
            job_id="bare",
            image=self.image,
            command=command,
            env={"RUNNER_JOB_ID": "bare"},
            vcpus=limits.vcpus,
            memory=limits.memory,
            pids=limits.pids,
            grace=limits.grace,
        )


@asynccontextmanager
async def bare_engine(space: Path, image: str, concurrency: int) -> AsyncIterator[BareEngine]:
    made: list[str] = []
    async with open_api() as api:
        try:
            info = await api.negotiate()
            pause_image = await _pause_image(api, str(info["Architecture"]))
            for number in range(concurrency):
                name = f"bare-sandbox-{number}-{secrets.token_hex(4)}"
                made.append(await api.create(name, sandbox_body(Owner(HOST, space), pause_image)))
                await api.start(made[-1])
            yield BareEngine(api, int(info["NCPU"]), tuple(made), space, image)
        finally:
            for sandbox in made:
                await api.remove(sandbox)


async def _pause_image(api: Api, architecture: str) -> str:
    archive = pause.archive(architecture)
    name = pause.image_name(archive)
    try:
        await api.client.call("GET", f"images/{name}/json")
    except ApiError:
        repository, _, tag = name.rpartition(":")
        query = {"fromSrc": "-", "repo": repository, "tag": tag}
        await api.client.call("POST", "images/create", query=query, data=archive)
    return name
