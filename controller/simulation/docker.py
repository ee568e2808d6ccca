"""A container engine's daemon on one machine, and its containers: both outlive the agents that use them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from controller.simulation.clock import EPOCH, OUTSIDE
from controller.simulation.history import History
from controller.simulation.registry import Registry
from controller.simulation.workload import Behave, Behaviour
from runner.adapters.docker.ending import signal_of
from runner.errors import EngineUnavailable
from runner.model import Usage
from runner.ports import ContainerSpec, Exit

# In seconds: a call to the daemon, from creating a container to its start, an image's first use, giving up on a daemon.
CALL = 0.005
START = 0.25
PULL = 4.0
PATIENCE = 30.0
# Of one that is away, after which whoever waits for a container's end gives it up.
SIGHT = 120.0
KILLED, TERMINATED = 9, 15


class Daemon:
    """`skew` of the machine's clock in seconds. `hung`: it takes calls and never answers. `down`: it takes none.
    Containers go on meanwhile, and nobody hears of their end."""

    def __init__(
        self,
        machine: str,
        behave: Behave,
        random: Random,
        history: History,
        skew: float,
        registry: Registry | None = None,
    ) -> None:
        self.machine = machine
        self.behave = behave
        self.random = random
        self.history = history
        self.skew = skew
        self.hung = False
        self.gone = False
        self.out_of_sight: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._away: asyncio.TimerHandle | None = None
        self.containers: dict[str, SimulatedContainer] = {}
        self._registry = registry or Registry()
        self._images: set[str] = set()

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time() + self.skew

    @property
    def down(self) -> bool:
        return self._away is not None

    @down.setter
    def down(self, down: bool) -> None:
        if self._away is not None:
            self._away.cancel()
        loop = asyncio.get_running_loop()
        self._away = loop.call_later(SIGHT, self._given_up, context=OUTSIDE) if down else None

    def _given_up(self) -> None:
        given_up, self.out_of_sight = self.out_of_sight, asyncio.get_running_loop().create_future()
        given_up.set_result(None)

    @property
    def running(self) -> Sequence[SimulatedContainer]:
        return [each for each in self.containers.values() if each.runs]

    def restart(self, seconds: float, live_restore: bool = False) -> None:
        """As `systemctl restart docker`: without live-restore what ran is lost."""
        self.down = True
        for container in () if live_restore else self.running:
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
            self._registry.give(image)
            self._images.add(image)


class SimulatedContainer:
    """Implements `runner.ports.Container`."""

    def __init__(self, daemon: Daemon, spec: ContainerSpec, behaviour: Behaviour) -> None:
        self._daemon = daemon
        self.spec = spec
        self.behaviour = behaviour
        self.started_at = 0.0
        self.runs = False
        self._began = 0.0
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
        self._began = loop.time()
        self._timer = loop.call_later(
            self.behaviour.seconds, self.end, "itself", self.behaviour.exit_code, context=OUTSIDE
        )

    def end(self, how: str, exit_code: int | None, signal: int | None = None) -> None:
        """`how`: by `itself`, by a `term` or `kill`; or it was `removed` under whoever waits, or `vanished`."""
        if not self.runs:
            return
        self._over(exit=exit_code, how=how)
        memory = self.behaviour.out_of_memory and how == "itself"
        if how == "itself" and exit_code is not None:
            signal = signal_of(exit_code)
        self.ended.set_result(
            Exit(
                exit_code=exit_code,
                started_at=self.started_at,
                finished_at=self._daemon.now(),
                signal=KILLED if memory else signal,
                out_of_memory=memory,
                vanished=how in ("removed", "vanished"),
                usage=Usage(64 * 1024**2, asyncio.get_running_loop().time() - self._began),
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
        self.end("removed", None)
        self._daemon.containers.pop(self.name, None)
        if not self.removed.done():
            self.removed.set_result(None)

    # the port

    async def wait(self) -> Exit:
        """Raises EngineUnavailable if the daemon stays away."""
        out_of_sight = self._daemon.out_of_sight
        await asyncio.wait((self.ended, out_of_sight), return_when=asyncio.FIRST_COMPLETED)
        while (self._daemon.hung or self._daemon.down) and not out_of_sight.done():  # noqa: ASYNC110 - looks
            await asyncio.sleep(1.0)
        if out_of_sight.done():
            message = f"Docker did not answer for {SIGHT:g} s"
            raise EngineUnavailable(message)
        ended = self.ended.result()
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
