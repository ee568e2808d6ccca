"""The real agent on a simulated machine: put together as `runner.assembly` and `runner.fleet_wiring` do it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from controller.simulation.clock import Process
from controller.simulation.docker import Daemon
from controller.simulation.engine import SimulatedEngine
from controller.simulation.installation import Installation
from controller.simulation.metadata import SimulatedMetadata
from runner.adapters.cloudwatch.feed import CloudWatchFeed
from runner.adapters.ec2.host import Ec2Host
from runner.adapters.ec2.metadata import Identity
from runner.adapters.files import FileLogWriter
from runner.adapters.s3.logs import S3Logs
from runner.adapters.s3.manifests import S3Manifests
from runner.adapters.secrets import LocalSecrets
from runner.agent.jobs import Jobs
from runner.agent.journal import Journal
from runner.agent.loop import Agent
from runner.agent.removals import Removals
from runner.agent.room import Room
from runner.agent.station import NoRoles, Station
from runner.agent.upkeep import Terms
from runner.assembly import REMOVALS_PER_SLOT, STOPPING
from runner.aws import Aws
from runner.errors import Unavailable
from runner.instances import InstanceType
from runner.ports import Capacity
from runner.records import HostReport
from runner.routing import usable
from runner.settings import AgentSettings


class Hardware:
    """What `runner.adapters.local.LocalHost` sees of the machine. `trouble`: what its disk lacks. `prunable`: that is
    over once what nothing uses has been removed."""

    def __init__(self, kind: InstanceType, settings: AgentSettings) -> None:
        self.trouble = ""
        self.prunable = False
        self._capacity = usable(kind, settings)

    def capacity(self) -> Capacity:
        return self._capacity

    async def health(self) -> str:
        return self.trouble

    async def reclaim(self) -> None:
        if self.prunable:
            self.trouble = ""


@dataclass(frozen=True)
class Site:
    """Where an agent finds itself. `folder`: its part of the machine's disk."""

    of: Installation
    environment: str
    identity: Identity
    hardware: Hardware
    metadata: SimulatedMetadata
    daemon: Daemon
    folder: Path
    environ: dict[str, str]


class Life:
    """One agent process, from its start to its end. `pulse` counts its signs of life; `works` hears that it
    has taken over what there was."""

    def __init__(
        self,
        site: Site,
        process: Process,
        aws: Aws,
        incarnation: str,
        random: Random,
        works: Callable[[Life], None],
    ) -> None:
        self.site = site
        self.process = process
        self.incarnation = incarnation
        self.pulse = 0
        self.ended = False
        self.agent: Agent | None = None
        self._aws = aws
        self._random = random
        self._works = works

    async def run(self) -> None:
        """Raises Unavailable, as the program ends with an error."""
        async with AsyncExitStack() as stack:
            station, channels = self._station(stack)
            if trouble := await station.examine_engines():
                raise Unavailable(trouble)
            own = self.site.of.settings.agent
            terms = Terms(own.drain, idle=own.idle, confirm=own.confirm, grace=STOPPING)
            self.agent = Agent(station, self._report(station, channels), terms)
            self._beat()
            await self.agent.run()
            self.ended = True

    def sign(self) -> tuple[str, str] | None:
        """What the watchdog reads of it: see `runner.agent.pulse`."""
        return None if self.ended else (self.incarnation, str(self.pulse))

    def _beat(self) -> None:
        self.pulse += 1

    @property
    def _owner(self) -> str:
        return f"{self.site.identity.instance_id}#{self.incarnation}"

    def _station(self, stack: AsyncExitStack) -> tuple[Station, tuple[str, ...]]:
        site, settings = self.site, self.site.of.settings
        channels = dict(site.of.routes.channels_of(site.environment))
        room = Room(site.hardware.capacity(), settings.agent.prefetch, alone=False)
        queue = site.of.queue(self.process, self._aws, channels, self._random)
        ledger = site.of.ledger(self.process, self._aws, self._owner, self._random)
        logs = self._logs()
        journal = Journal(site.folder / "journal")
        stack.callback(journal.close)
        for close in (queue.close, logs.close):
            stack.push_async_callback(close)
        logs.start()

        async def flush() -> None:
            await ledger.flush()
            await queue.flush()

        station = Station(
            owner=self._owner,
            host=self._host(),
            queue=queue,
            ledger=ledger,
            engines={SimulatedEngine.name: SimulatedEngine(site.daemon)},
            logs=logs,
            manifests=S3Manifests(self._aws, site.of.bucket),
            secrets=LocalSecrets(site.environ),
            jobs=Jobs(ledger),
            heartbeat=site.of.heartbeat(queue, ledger, self._beat),
            journal=journal,
            removals=Removals(REMOVALS_PER_SLOT * room.slots),
            room=room,
            now=self.process.now,
            jitter=self._random.random,
            flush=flush,
            boot=site.identity.instance_id,
            taken_over=lambda: self._works(self),
            roles=NoRoles(),
            routes=site.of.routes,
        )
        return station, tuple(channels)

    def _host(self) -> Ec2Host:
        site = self.site
        return Ec2Host(
            site.identity, site.hardware, site.metadata, self._aws, self.process.now, site.hardware.reclaim
        )

    def _logs(self) -> S3Logs:
        site, random = self.site, self._random.random
        group, limit = site.of.fleet.log_group, site.of.settings.agent.log_limit
        live = None
        if group is not None:
            live = CloudWatchFeed(self._aws, group, self._owner, self.process.now, jitter=random)
        return S3Logs(
            self._aws,
            site.of.bucket,
            self._owner,
            site.folder,
            lambda path: FileLogWriter(path, limit),
            self.process.now,
            live=live,
            jitter=random,
        )

    def _report(self, station: Station, channels: tuple[str, ...]) -> HostReport:
        capacity, now = station.room.capacity, station.now()
        return HostReport(
            host=station.host.name,
            incarnation=self.incarnation,
            state="running",
            vcpus=capacity.vcpus,
            memory=capacity.memory,
            free_vcpus=capacity.vcpus,
            free_memory=capacity.memory,
            tasks=0,
            engines=tuple(station.engines),
            queues=channels,
            pid=1,
            started_at=now,
            seen_at=now,
        )
