"""A small world in virtual time: real agents and a real supervisor's verbs over one database in memory."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller import scheduling
from controller.simulation.clock import now
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.agent.heartbeat import Heartbeat
from runner.agent.jobs import Jobs
from runner.agent.journal import Journal
from runner.agent.loop import Agent
from runner.agent.removals import Removals
from runner.agent.room import Room
from runner.agent.station import NoRoles, Station
from runner.agent.upkeep import Terms
from runner.array import Array
from runner.errors import StorageError
from runner.model import Job, TaskId
from runner.ports import ContainerSpec, Roles
from runner.records import HostReport, JobRecord, TaskRecord
from runner.routing import Routes
from runner.settings import Settings
from tests.agent.fakes import (
    Behaviour,
    FakeContainer,
    FakeEngine,
    FakeHost,
    FakeManifests,
    FakeSecrets,
    MemoryLogs,
)

EMBEDDED = Routes.of(Settings())
LEASE = 30.0
BEAT = 2.0


def a_job(tasks: int = 1, **changes: object) -> Job:
    job = Job(id="job1", name="a-job", command=("work",), array=Array.of_size(tasks))
    return replace(job, **changes)  # type: ignore[arg-type]


class World:
    """`behave` says what each container does. Everything an agent on a host leaves on disk lies under `folder`.
    `alone`: each agent from then on believes that no other machine takes from its queues."""

    def __init__(
        self, folder: Path, behave: Callable[[ContainerSpec], Behaviour] = lambda spec: Behaviour()
    ) -> None:
        self.folder = folder
        self.database = Database.memory()
        self.queue = SqliteQueue(self.database, now, {"default": 0})
        self.ledger = SqliteLedger(self.database, now, lease=LEASE)
        self.records = SqliteRecords(self.database, now)
        self.engine = FakeEngine(behave)
        self.logs = MemoryLogs()
        self.manifests = FakeManifests()
        self.secrets = FakeSecrets()
        self.roles: Roles = NoRoles()
        self.hosts: dict[str, FakeHost] = {}
        self.stations: dict[str, Station] = {}
        self.alone = True
        self.pulses: Counter[str] = Counter()
        self.taken_over: list[str] = []
        self.boot = "first"
        self._lives = 0
        self._life: dict[str, Life] = {}

    async def submit(self, job: Job) -> JobRecord:
        record, _ = await self.records.register(job)
        await scheduling.enqueue(self.records, self.queue, record, 1000, EMBEDDED)
        return record

    def agent(self, host: str = "host-a", terms: Terms | None = None, **machine: object) -> Agent:
        """A new agent on `host`; earlier ones there are taken for dead."""
        self._lives += 1
        fake = self.hosts[host] = FakeHost(host, **machine)  # type: ignore[arg-type]
        room = Room(fake.capacity(), prefetch=0.25, alone=self.alone)
        life = self._life[host] = Life()
        queue: Any = Mortal(self.queue, life)
        ledger: Any = Mortal(self.ledger, life)
        engine: Any = Mortal(self.engine, life)
        owner = f"{host}#{self._lives}"
        station = Station(
            owner=owner,
            host=fake,
            queue=queue,
            ledger=ledger,
            engines={"process": engine},
            logs=self.logs,
            manifests=self.manifests,
            secrets=self.secrets,
            jobs=Jobs(ledger),
            heartbeat=Heartbeat(
                queue, ledger, lease=LEASE, beat=BEAT, pulse=lambda: self.pulses.update([host])
            ),
            journal=Journal(self.folder / host / "journal"),
            removals=Removals(8),
            room=room,
            now=now,
            jitter=lambda: 0.0,
            boot=self.boot,
            taken_over=lambda: self.taken_over.append(owner),
            roles=self.roles,
        )
        self.stations[host] = station
        report = HostReport(
            host, str(self._lives), "running", 2, 1, 2, 1, 0, ("process",), ("default",), 1, now(), now()
        )
        return Agent(station, report, terms or Terms(drain=10))

    def kill(self, host: str) -> None:
        """As kill -9 does: nothing of the agent's goes on, its containers do."""
        self._life[host].over = True

    def refuse(self, host: str, *verbs: str) -> None:
        """From now on these calls of the agent's fail, and no others do."""
        self._life[host].refused = frozenset(verbs)

    async def record(self, job_id: str = "job1") -> JobRecord:
        record = await self.records.job(job_id)
        assert record is not None
        return record

    async def task(self, index: int = 0, job_id: str = "job1") -> TaskRecord:
        record = await self.records.task(TaskId(job_id, index))
        assert record is not None
        return record

    async def until_over(self, job_id: str = "job1", limit: float = 86400.0) -> JobRecord:
        async with asyncio.timeout(limit):
            while not (record := await self.record(job_id)).status.terminal:
                await asyncio.sleep(0.25)
        return record


@dataclass
class Life:
    over: bool = False
    refused: frozenset[str] = field(default_factory=frozenset)


class Mortal:
    """A port as one agent has it. Once the agent is killed, every call of its ends there and then, and so does what
    called it; what it had started outside goes on."""

    def __init__(self, port: Any, life: Life) -> None:
        self._port = port
        self._life = life
        self._hanging: frozenset[str] = frozenset()

    def hang(self, *calls: str) -> None:
        """From now on these never answer."""
        self._hanging = frozenset(calls)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._life.over:
                raise asyncio.CancelledError
            if name in self._hanging:
                await asyncio.Event().wait()
            if name in self._life.refused:
                message = f"no {name} at present"
                raise StorageError(message)
            return self._mortal(await attribute(*args, **kwargs))

        return call

    def _mortal(self, result: Any) -> Any:
        if isinstance(result, FakeContainer):
            return Mortal(result, self._life)
        if isinstance(result, list):
            return [self._mortal(each) for each in result]
        return result
