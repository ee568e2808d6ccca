"""What every part of a simulated installation knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from controller.simulation.clock import Process
from controller.simulation.history import History
from controller.simulation.network import Network
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.adapters.sqs.queue import SqsQueue
from runner.aws import Aws
from runner.routing import Routes
from runner.settings import FleetSettings, Settings


@dataclass(frozen=True)
class Installation:
    """`random` gives a source of its own for each name, the same for the same seed."""

    settings: Settings
    fleet: FleetSettings
    routes: Routes
    bucket: str
    network: Network
    history: History
    random: Callable[[str], Random]

    def ledger(self, process: Process, aws: Aws, name: str, random: Random) -> DynamoLedger:
        lease, table = self.settings.agent.lease, Table(aws, self.fleet.table, random.random)
        return DynamoLedger(table, process.now, lease, name, history=self.fleet.history)

    def records(self, process: Process, aws: Aws, random: Random) -> DynamoRecords:
        table = Table(aws, self.fleet.table, random.random)
        return DynamoRecords(table, process.now, process.name, history=self.fleet.history)

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
