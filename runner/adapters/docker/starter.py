"""From a spec to a running container with all that belongs to it, or to nothing left behind."""

from __future__ import annotations

import asyncio
import io
import tarfile
from dataclasses import dataclass, field

from runner.adapters.docker import launch
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.container import DockerContainer, Made
from runner.adapters.docker.images import Image
from runner.adapters.docker.sandbox import Sandbox
from runner.adapters.docker.site import Site
from runner.adapters.docker.spec import (
    SCRATCH,
    Placing,
    check,
    container_name,
    shard,
    sidecar_body,
    sidecar_name,
    task_body,
)
from runner.errors import EngineUnavailable, ImageError, StartError
from runner.model import Sidecar
from runner.ports import ContainerSpec, Output

# One round, whatever is tried again within it.
SECONDS = 120.0

# A sandbox may be found dead, an image pruned since it was last seen: each is worth another round.
ROUNDS = 3


async def start(site: Site, spec: ContainerSpec, output: Output) -> DockerContainer:
    """Raises ImageError, StartError, EngineUnavailable; then nothing is left behind."""
    check(spec)
    if not await site.remover.none_left(shard(spec.job_id, spec.index), SECONDS):
        message = f"{spec.name}: an earlier attempt of the task cannot be removed yet"
        raise EngineUnavailable(message)
    problem: Exception
    for left in reversed(range(ROUNDS)):
        images = [await _image(site, name) for name in (spec.image, *(each.image for each in spec.sidecars))]
        try:
            return await _one_round(site, spec, images, output)
        except launch.SandboxGoneError as error:
            problem = error
        except ImageError as error:
            if not left:
                raise
            problem = error
            for image in images:
                site.images.forget(image.name)
    message = f"{spec.name}: {problem}"
    raise EngineUnavailable(message) from problem


async def _one_round(site: Site, spec: ContainerSpec, images: list[Image], output: Output) -> DockerContainer:
    sandbox = await site.sandboxes.acquire(spec.job_id)
    try:
        async with asyncio.timeout(SECONDS):
            return await _Start(site, spec, sandbox, images).run(output)
    except TimeoutError as error:
        site.sandboxes.lost(sandbox)
        message = f"{spec.name} did not start within {SECONDS:g} s"
        raise EngineUnavailable(message) from error
    except (launch.SandboxGoneError, EngineUnavailable):
        # In doubt, nobody else is put where something of this one may still run.
        site.sandboxes.lost(sandbox)
        raise
    except BaseException:
        site.sandboxes.release(sandbox)
        raise


async def _image(site: Site, name: str | None) -> Image:
    if name is None:
        message = "the job names no image, and the Docker engine needs one"
        raise ImageError(message)
    return await site.images.ensure(name)


@dataclass
class _Start:
    """One round of one start, which knows what it has made so far."""

    site: Site
    spec: ContainerSpec
    sandbox: Sandbox
    images: list[Image]
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = container_name(self.spec.name)
        self.metadata = self.site.metadata(self.spec.host, self.name)
        self.meter = self.site.meters.meter(self.name)
        self.placing = Placing(
            owner=self.site.owner(self.spec.host),
            launch=launch.launch_number(),
            sandbox=self.sandbox.id,
            cpus=self.site.cpus,
            metadata=str(self.metadata.path),
            cgroup_parent=self.meter.parent,
        )

    async def run(self, output: Output) -> DockerContainer:
        try:
            return await self._run(output)
        except ApiError as error:
            await self._undo()
            raise (launch.refusal(error) if error.final else EngineUnavailable(str(error))) from error
        except (NoAnswerError, OSError) as error:
            await self._undo()
            message = f"cannot start {self.name}: {error}"
            raise EngineUnavailable(message) from error
        except BaseException:
            await self._undo()
            raise

    async def _run(self, output: Output) -> DockerContainer:
        self.metadata.make()
        task = await self._create(self.name, task_body(self.spec, self.placing))
        await self._check(task, self.images[0], self.spec.command, dict(self.spec.env))
        if not self.images[0].runs_as_root:
            await self.site.api.extract(task, _open_scratch())
        sidecars = await self._start_sidecars(task)
        stream = await self.site.api.attach(task)
        try:
            await launch.start(self.site.api, task, self.spec.wanted)
        except BaseException:
            stream.close()
            raise
        made = Made(
            id=task,
            name=self.name,
            labels=dict(self.spec.labels),
            started_at=self.site.now(),
            meter=self.meter,
            metadata=self.metadata,
            grace=self.spec.grace,
            sandbox=self.sandbox,
            sidecars=sidecars,
            shard=shard(self.spec.job_id, self.spec.index),
            stream=stream,
        )
        return DockerContainer(self.site, made, output)

    async def _create(self, name: str, body: dict[str, object]) -> str:
        self.made.append(name)  # it may be made though we never hear of it
        try:
            return await launch.create(self.site.api, name, body)
        except (ImageError, StartError, launch.SandboxGoneError):
            self.made.remove(name)  # it was not made, and the name may be another container's
            raise

    async def _check(
        self, container: str, image: Image, command: tuple[str, ...], env: dict[str, str]
    ) -> None:
        await self.site.executables.check(container, image, command, env, self.spec.job_id)

    async def _start_sidecars(self, task: str) -> tuple[str, ...]:
        if not self.spec.sidecars:
            return ()
        mounts = (await self.site.api.inspect(task))["Mounts"]
        scratch = next(str(mount["Name"]) for mount in mounts if mount["Destination"] == SCRATCH)
        pairs = zip(self.spec.sidecars, self.images[1:], strict=True)
        return tuple([await self._start_sidecar(sidecar, image, scratch) for sidecar, image in pairs])

    async def _start_sidecar(self, sidecar: Sidecar, image: Image, scratch: str) -> str:
        try:
            body = sidecar_body(self.spec, sidecar, self.placing, scratch)
            container = await self._create(sidecar_name(self.name, sidecar), body)
            await self._check(container, image, sidecar.command, dict(sidecar.env))
            await launch.start(self.site.api, container, self.spec.wanted)
        except StartError as error:
            message = f"sidecar {sidecar.name}: {error}"
            raise StartError(message) from error
        return container

    async def _undo(self) -> None:
        """Shielded: a start that is cancelled leaves nothing behind either."""

        async def undo() -> None:
            of_task = shard(self.spec.job_id, self.spec.index)
            await self.site.remover.remove(*reversed(self.made), shard=of_task)
            self.meter.close()
            self.metadata.remove()

        await asyncio.shield(self.site.remover.background.spawn(undo()))


def _open_scratch() -> bytes:
    """The scratch directory as an archive that makes it everybody's: the engine makes it root's, and the
    task is not.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(SCRATCH.strip("/"))
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(entry)
    return buffer.getvalue()
