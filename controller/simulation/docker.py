"""A container engine on one machine: `runner.ports.Engine` over a daemon that outlives the agents using it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

from controller.simulation.clock import EPOCH, OUTSIDE
from controller.simulation.history import History
from controller.simulation.workload import Behave, Behaviour
from runner.errors import EngineUnavailable
from runner.model import Job, Usage
from runner.ports import ContainerSpec, Exit, Output

# In seconds: a call to the daemon, from creating a container to its start, an image's first use, giving up on a daemon.
CALL = 0.005
START = 0.25
PULL = 4.0
PATIENCE = 30.0
KILLED, TERMINATED = 9, 15


class Daemon:
    """`skew` of the machine's clock in seconds. `hung`: it takes calls and never answers. `down`: it takes none."""

    def __init__(self, machine: str, behave: Behave, random: Random, history: History, skew: float) -> None:
        self.machine = machine
        self.behave = behave
        self.random = random
        self.history = history
        self.skew = skew
        self.hung = False
        self.down = False
        self.gone = False
        self.containers: dict[str, SimulatedContainer] = {}
        self._images: set[str] = set()

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time() + self.skew

    @property
    def running(self) -> Sequence[SimulatedContainer]:
        return [each for each in self.containers.values() if each.runs]

    def restart(self, seconds: float) -> None:
        """As `systemctl restart docker` without live-restore: what ran is lost."""
        self.down = True
        for container in self.running:
            container.end("vanished", None)
        asyncio.get_running_loop().call_later(seconds, setattr, self, "down", False, context=OUTSIDE)

    def power_off(self) -> None:
        """Nobody hears of it: with the machine goes whoever might."""
        for container in self.running:
            container.lost()
        self.gone = True

    async def answer(self, seconds: float = CALL) -> None:
        """Returns when the daemon has. Raises EngineUnavailable."""
        await asyncio.sleep(seconds)
        waited = 0.0
        while self.hung and waited < PATIENCE:
            waited += 1.0
            await asyncio.sleep(1.0)
        if self.hung or self.down:
            message = f"Docker does not answer: {'timeout' if self.hung else 'connection refused'}"
            raise EngineUnavailable(message)

    async def pull(self, image: str) -> None:
        if image not in self._images:
            await self.answer(PULL * (0.5 + self.random.random()))
            self._images.add(image)


class SimulatedContainer:
    """Implements `runner.ports.Container`."""

    def __init__(self, daemon: Daemon, spec: ContainerSpec, behaviour: Behaviour) -> None:
        self._daemon = daemon
        self.spec = spec
        self.behaviour = behaviour
        self.started_at = 0.0
        self.runs = False
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Exit] = loop.create_future()
        self.removed: asyncio.Future[None] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        daemon.containers[spec.name] = self

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.labels

    @property
    def attempt(self) -> str:
        return self.spec.labels.get("attempt", "")

    # what happens to it, whoever looks on

    def start(self) -> None:
        self.runs = True
        self.started_at = self._daemon.now()
        self._tell("container-started")
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            self.behaviour.seconds, self.end, "itself", self.behaviour.exit_code, context=OUTSIDE
        )

    def end(self, how: str, exit_code: int | None, signal: int | None = None) -> None:
        """`how`: by `itself`, by a `term` or `kill`, or it `vanished`."""
        if not self.runs:
            return
        self._over(exit=exit_code, how=how)
        memory = self.behaviour.out_of_memory and how == "itself"
        self.ended.set_result(
            Exit(
                exit_code=exit_code,
                started_at=self.started_at,
                finished_at=self._daemon.now(),
                signal=KILLED if memory else signal,
                out_of_memory=memory,
                vanished=how == "vanished",
                usage=Usage(peak_memory=64 * 1024**2, cpu_seconds=self._daemon.now() - self.started_at),
            )
        )

    def lost(self) -> None:
        """With its machine."""
        self._over(exit=None, how="machine")

    def _over(self, **how: object) -> None:
        self.runs = False
        if self._timer is not None:
            self._timer.cancel()
        self._tell("container-ended", **how)

    def _tell(self, what: str, **more: object) -> None:
        task, _, number = self.attempt.partition("#")
        self._daemon.history.add(what, task, self._daemon.machine, attempt=int(number or 0), **more)

    def term(self) -> None:
        if self.behaviour.on_term is not None:
            code = self.behaviour.on_term
            self.end("term", code, TERMINATED if code == 128 + TERMINATED else None)

    def kill(self) -> None:
        self.end("kill", 128 + KILLED, KILLED)

    def discard(self) -> None:
        self.kill()
        self._daemon.containers.pop(self.name, None)
        if not self.removed.done():
            self.removed.set_result(None)

    # the port

    async def wait(self) -> Exit:
        ended = await asyncio.shield(self.ended)
        left = ended.finished_at + self.behaviour.lingers - self._daemon.now()
        if left > 0:
            await asyncio.sleep(left)
        return ended

    async def stop(self, grace: float) -> None:
        await self._daemon.answer()
        self.term()
        if self.runs:
            await asyncio.wait((self.ended,), timeout=grace)
            self.kill()

    async def metadata(self) -> bytes:
        return self.behaviour.metadata

    async def remove(self) -> None:
        while self._daemon.hung or self._daemon.down:  # noqa: ASYNC110 - one more try each time
            await asyncio.sleep(1.0)
        await asyncio.sleep(CALL)
        self.discard()


class SimulatedEngine:
    """Implements `runner.ports.Engine` for one process."""

    name = "docker"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def prepare(self, job: Job, concurrency: int) -> None:  # noqa: ARG002 - the port's
        for image in (job.image, *(sidecar.image for sidecar in job.sidecars)):
            if image is not None:
                await self._daemon.pull(image)

    async def start(self, spec: ContainerSpec, output: Output) -> SimulatedContainer:
        daemon = self._daemon
        behaviour = daemon.behave(spec)
        await daemon.answer()
        if behaviour.error is not None:
            daemon.history.add("start-refused", spec.labels["attempt"].partition("#")[0], daemon.machine)
            raise behaviour.error
        await self._earlier_gone(spec)
        container = SimulatedContainer(daemon, spec, behaviour)
        try:
            await daemon.answer(START * (0.5 + daemon.random.random()))
        except BaseException:
            container.discard()
            raise
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

    async def sweep(self, host: str) -> int:
        await self._daemon.answer()
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

    def _of(self, host: str) -> Sequence[SimulatedContainer]:
        return [each for each in self._daemon.containers.values() if each.spec.host == host]

    async def _earlier_gone(self, spec: ContainerSpec) -> None:
        """No two containers of one task at once."""
        for other in self._of(spec.host):
            if (other.spec.job_id, other.spec.index) == (spec.job_id, spec.index):
                await asyncio.shield(other.removed)
