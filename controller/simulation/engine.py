"""`runner.ports.Engine` over a simulated daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from controller.simulation.docker import START, Daemon, SimulatedContainer
from runner.errors import EngineError, EngineUnavailable, ImageError
from runner.model import Job
from runner.ports import ContainerSpec, Output


class SimulatedEngine:
    """Implements `runner.ports.Engine` for one process."""

    name = "docker"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def prepare(self, job: Job, concurrency: int) -> None:  # noqa: ARG002 - the port's
        for image in (job.image, *(sidecar.image for sidecar in job.sidecars)):
            if image is not None:
                await self._pull(image, job)

    async def start(self, spec: ContainerSpec, output: Output) -> SimulatedContainer:
        daemon = self._daemon
        behaviour = daemon.behave(spec)
        await daemon.answer()
        if behaviour.error is not None:
            self._tell_refused(behaviour.error, spec.labels["attempt"].partition("#")[0])
            raise behaviour.error
        await self._earlier_gone(spec)
        container = SimulatedContainer(daemon, spec, behaviour)
        try:
            await daemon.answer(START * (0.5 + daemon.random.random()))
        except BaseException:
            container.discard()
            raise
        if not spec.wanted():
            container.discard()
            message = f"{spec.name} is not wanted any more"
            raise EngineUnavailable(message)
        container.start()
        output.write(behaviour.output)
        return container

    async def recover(
        self, host: str, output: Callable[[Mapping[str, str]], Output | None]
    ) -> Sequence[SimulatedContainer]:
        await self._daemon.answer()
        adopted = []
        for container in self._of(host):
            place = output(container.labels) if container.started_at else None
            if place is None:
                container.discard()
            else:
                place.write(container.behaviour.output)
                adopted.append(container)
        return adopted

    async def sweep(self, host: str, wanted: Callable[[], bool] = lambda: True) -> int:
        await self._daemon.answer()
        if not wanted():
            return 0
        mine = self._of(host)
        for container in mine:
            container.discard()
        return len(mine)

    async def check(self) -> str:
        try:
            await self._daemon.answer()
        except EngineUnavailable as error:
            return str(error)
        return ""

    async def close(self) -> None: ...

    async def _pull(self, image: str, job: Job) -> None:
        try:
            await self._daemon.pull(image)
        except ImageError as error:
            self._tell_refused(error, job.id)
            raise

    def _tell_refused(self, error: EngineError, subject: str) -> None:
        """Of a task, or all of a job's: nothing that another engine could do better."""
        if not isinstance(error, EngineUnavailable):
            self._daemon.history.add("start-refused", subject, self._daemon.machine)

    def _of(self, host: str) -> Sequence[SimulatedContainer]:
        return [each for each in self._daemon.containers.values() if each.spec.host == host]

    async def _earlier_gone(self, spec: ContainerSpec) -> None:
        """No two containers of one task at once."""
        for other in self._of(spec.host):
            if (other.spec.job_id, other.spec.index) == (spec.job_id, spec.index):
                await asyncio.shield(other.removed)
