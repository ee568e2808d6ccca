"""Ports played in virtual time. Queue and ledger are the real SQLite adapters, on a database in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.simulation.clock import now
from runner.errors import EngineError, NotFound, Unavailable
from runner.model import Attempt, Job, Usage
from runner.ports import Capacity, ContainerSpec, Exit, Notice, Output


@dataclass
class Behaviour:
    """What a fake container does. `survives_term`: goes on after SIGTERM, until killed.

    `lingers`: for so many seconds after its end its output is still on its way, or its sidecars stop.
    """

    seconds: float = 1.0
    exit_code: int = 0
    output: bytes = b""
    metadata: bytes = b""
    lingers: float = 0.0
    survives_term: bool = False
    exit_on_term: int = 143
    out_of_memory: bool = False
    vanishes: bool = False
    error: EngineError | None = None
    on_wait: EngineError | None = None
    on_stop: EngineError | None = None


class FakeContainer:
    def __init__(self, engine: FakeEngine, spec: ContainerSpec, behaviour: Behaviour) -> None:
        self._engine = engine
        self.spec = spec
        self.behaviour = behaviour
        self.started_at = now()
        self.told_to_stop_at: float | None = None
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._timer = asyncio.get_running_loop().call_later(behaviour.seconds, self.end, behaviour.exit_code)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.labels

    def end(self, exit_code: int | None, signal: int | None = None) -> None:
        if self.ended.done():
            return
        self._timer.cancel()
        self.ended.set_result(
            Exit(
                exit_code=None if self.behaviour.vanishes else exit_code,
                started_at=self.started_at,
                finished_at=now(),
                signal=signal,
                out_of_memory=self.behaviour.out_of_memory,
                vanished=self.behaviour.vanishes,
                usage=Usage(peak_memory=1000, cpu_seconds=0.5),
            )
        )

    async def wait(self) -> Exit:
        if self.behaviour.on_wait is not None:
            raise self.behaviour.on_wait
        ended = await asyncio.shield(self.ended)
        await asyncio.sleep(ended.finished_at + self.behaviour.lingers - now())
        return ended

    async def stop(self, grace: float) -> None:
        self.told_to_stop_at = now()
        if self.behaviour.on_stop is not None:
            raise self.behaviour.on_stop
        if self.behaviour.survives_term:
            await asyncio.wait((self.ended,), timeout=grace)
            self.end(137, 9)
        else:
            self.end(self.behaviour.exit_on_term, 15 if self.behaviour.exit_on_term == 143 else None)

    async def metadata(self) -> bytes:
        return self.behaviour.metadata

    async def remove(self) -> None:
        self.end(137, 9)
        self._engine.running.pop(self.name, None)


class FakeEngine:
    """Runs what `behave` says; remembers every container it was asked for, and the most that ran at once.

    `preparing`, `recovering`: how many seconds that takes.
    """

    name = "process"

    def __init__(self, behave: Callable[[ContainerSpec], Behaviour]) -> None:
        self._behave = behave
        self.running: dict[str, FakeContainer] = {}
        self.specs: list[ContainerSpec] = []
        self.ends: list[asyncio.Future[Exit]] = []
        self.most_at_once = 0
        self.preparing = 0.0
        self.recovering = 0.0

    async def prepare(self, job: Job, concurrency: int) -> None:
        await asyncio.sleep(self.preparing)

    async def start(self, spec: ContainerSpec, output: Output) -> FakeContainer:
        behaviour = self._behave(spec)
        if behaviour.error is not None:
            raise behaviour.error
        self.specs.append(spec)
        container = FakeContainer(self, spec, behaviour)
        self.ends.append(container.ended)
        self.running[spec.name] = container
        alive = sum(1 for c in self.running.values() if not c.ended.done())
        self.most_at_once = max(self.most_at_once, alive)
        output.write(behaviour.output)
        return container

    async def recover(
        self, host: str, output: Callable[[Mapping[str, str]], Output | None]
    ) -> Sequence[FakeContainer]:
        await asyncio.sleep(self.recovering)
        adopted = []
        for container in list(self.running.values()):
            if container.spec.host != host:
                continue
            place = output(container.labels)
            if place is None:
                await container.remove()
            else:
                place.write(container.behaviour.output)
                adopted.append(container)
        return adopted

    async def sweep(self, host: str, wanted: Callable[[], bool] = lambda: True) -> int:
        mine = [container for container in self.running.values() if container.spec.host == host]
        for container in mine:
            await container.remove()
        return len(mine)

    async def check(self) -> str:
        return ""

    async def close(self) -> None: ...


@dataclass
class FakeHost:
    """`thinks`, `retires_in`: how many seconds it takes to say whether it is spared, and to go."""

    name: str
    vcpus: float = 2.0
    memory: int = 8 * 1024**3
    trouble: str = ""
    going: Notice | None = None
    retired: bool = False
    machine_type: str = ""
    needed: bool = False
    retires_in: float = 0.0
    thinks: float = 0.0
    asked: int = 0
    mends: Callable[[FakeHost], None] = lambda _: None
    busy: list[bool] = field(default_factory=list)

    def capacity(self) -> Capacity:
        return Capacity(self.vcpus, self.memory)

    async def notice(self) -> Notice | None:
        return self.going

    async def health(self) -> str:
        return self.trouble

    async def mend(self) -> None:
        self.mends(self)

    async def protect(self, busy: bool) -> None:
        if self.busy[-1:] != [busy]:
            self.busy.append(busy)

    async def spared(self) -> bool:
        self.asked += 1
        await asyncio.sleep(self.thinks)
        return not self.needed

    async def retire(self) -> None:
        await asyncio.sleep(self.retires_in)
        self.retired = True


@dataclass
class MemoryLog:
    data: bytearray = field(default_factory=bytearray)
    dropped: int = 0
    place: str = ""
    closed: int = 0

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed += 1

    @property
    def written(self) -> int:
        return len(self.data)


class MemoryLogs:
    """`away_until`: before that nothing can be stored."""

    def __init__(self) -> None:
        self.by_attempt: dict[str, MemoryLog] = {}
        self.flushed = 0
        self.place = ""
        self.away_until = 0.0

    def writer(self, attempt: Attempt) -> MemoryLog:
        log = self.by_attempt[str(attempt)] = MemoryLog(place=self.place)
        return log

    async def flush(self) -> None:
        if now() < self.away_until:
            await asyncio.sleep(10)
            message = "logs not stored"
            raise Unavailable(message)
        self.flushed += 1


class FakeManifests:
    def __init__(self, items: Sequence[str] = ()) -> None:
        self.items = list(items)

    async def put(self, items: object) -> str:
        raise AssertionError

    async def get(self, manifest: str, index: int) -> str:
        if index >= len(self.items):
            raise NotFound(manifest)
        return self.items[index]


class FakeSecrets:
    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})

    async def resolve(self, job: Job) -> Mapping[str, str]:
        return {secret.name: self.values[secret.name] for secret in job.secrets}
