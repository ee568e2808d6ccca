"""What every part of a simulated installation knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from controller.adapters.absent import NoFleet
from controller.adapters.asg import AsgFleet
from controller.adapters.batch.backend import BatchBackend
from controller.adapters.emr.backend import EmrBackend
from controller.ports import Backend, Fleet, Records
from controller.simulation.clock import Process
from controller.simulation.history import History
from controller.simulation.network import Network
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.adapters.s3.manifests import S3Manifests
from runner.adapters.sqs.queue import SqsQueue
from runner.agent.heartbeat import Heartbeat, patience
from runner.agent.watchdog import watch
from runner.aws import Aws
from runner.model import BATCH, EMR
from runner.ports import Ledger, Queue
from runner.routing import Routes
from runner.settings import FleetSettings, Settings


@dataclass(frozen=True)
class Installation:
    """What the parts are made of: who wants to see what happens with others in their place overrides that here.

    `random` gives a source of its own for each name, the same for the same seed.
    """

    settings: Settings
    fleet: FleetSettings
    routes: Routes
    bucket: str
    network: Network
    history: History
    random: Callable[[str], Random]

    def aws(self, process: Process) -> Aws:
        return self.network.aws(process)

    def ledger(self, process: Process, aws: Aws, name: str, random: Random) -> DynamoLedger:
        lease, table = self.settings.agent.lease, Table(aws, self.fleet.table, random.random)
        return DynamoLedger(table, process.now, lease, name, history=self.fleet.history)

    def records(self, process: Process, aws: Aws, random: Random) -> DynamoRecords:
        table = Table(aws, self.fleet.table, random.random)
        return DynamoRecords(table, process.now, process.name, history=self.fleet.history)

    def heartbeat(self, queue: Queue, ledger: Ledger, pulse: Callable[[], None]) -> Heartbeat:
        own = self.settings.agent
        return Heartbeat(queue, ledger, lease=own.lease, beat=own.beat, pulse=pulse)

    def backends(
        self, process: Process, aws: Aws, records: Records, ledger: Ledger, random: Random
    ) -> Mapping[str, Backend]:
        """What runs jobs that name one: AWS Batch and Amazon EMR, where their services are simulated too and the
        settings have them."""
        settings, backends = self.settings, dict[str, Backend]()
        if settings.batch is not None:
            backends[BATCH] = BatchBackend(
                aws,
                records,
                ledger,
                S3Manifests(aws, self.bucket),
                settings.batch,
                process.now,
                random.random,
            )
        if settings.emr is not None:
            backends[EMR] = EmrBackend(
                aws, records, ledger, settings.emr, process.now, random.random, process.name
            )
        return backends

    def groups(self, process: Process, aws: Aws) -> Fleet:
        if self.settings.machines is None:
            return NoFleet()
        return AsgFleet(aws, self.fleet, process.now)

    async def watchdog(
        self,
        read: Callable[[], tuple[str, str] | None],
        sweep: Callable[[Callable[[], bool]], Awaitable[bool]],
        agent_alive: Callable[[], bool],
        incarnation: str,
    ) -> None:
        within = patience(self.settings.agent.lease)
        await watch(read, sweep, agent_alive, incarnation=incarnation, patience=within)

    def queue(self, process: Process, aws: Aws, channels: dict[str, int], random: Random) -> SqsQueue:
        """One that receives from these, and sends to any."""
        return SqsQueue(
            aws,
            process.now,
            channels,
            name=self.fleet.queue_name,
            dead_letters=self.fleet.dead_letters,
            jitter=random.random,
        )
