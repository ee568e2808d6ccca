"""The one place in this package that names adapters: from settings to everything the commands work with."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from controller.ports import DeadLetters, LogReader, Records
from runner.aws import Aws
from runner.errors import BadInput
from runner.ports import Clock, Ledger, Manifests, Queue
from runner.routing import Routes
from runner.settings import FleetSettings, Settings
from runner.wiring import open_metadata, open_storage, wall_clock

if TYPE_CHECKING:
    from controller.adapters.healthz import Report
    from controller.ports import Fleet, Machines
    from controller.supervisor import Supervisor


@dataclass(frozen=True)
class Parts:
    settings: Settings
    records: Records
    ledger: Ledger
    queue: Queue
    dead_letters: DeadLetters
    logs: LogReader
    manifests: Manifests
    now: Clock
    aws: Aws | None = None

    @cached_property
    def routes(self) -> Routes:
        return Routes.of(self.settings)

    # Imported when asked for: commands that only read start in half the time without supervisor and log.
    @cached_property
    def fleet(self) -> Fleet:
        if self.settings.fleet is not None:
            assert self.aws is not None
            from controller.adapters.asg import AsgFleet

            return AsgFleet(self.aws, self.settings.fleet, self.now)
        from controller.adapters.processes import ProcessFleet

        return ProcessFleet(self.settings)

    def machines(self) -> Machines:
        """Raises BadInput where tasks run on this machine."""
        if self.settings.fleet is None or self.aws is None:
            message = "machines can be started in mode fleet only"
            raise BadInput(message)
        from controller.adapters.single import SingleInstances

        return SingleInstances(self.aws, self.settings.fleet)

    def supervisor(self, *, reserve: bool = False) -> Supervisor:
        """One that may lead, in this process. `reserve`: in a fleet, only where nobody else does; there it should be
        the daemon that was set up for it, and not some user's command."""
        from controller.dead_letters import Settling
        from controller.supervisor import Supervisor

        # A process may have several, of which one leads: a notebook that waits for two jobs at once.
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        settling = Settling(
            self.dead_letters, self.queue, self.routes, self.records, self.ledger, self.now, holder=holder
        )
        return Supervisor(
            self.records,
            self.queue,
            self.fleet,
            self.now,
            holder=holder,
            settings=self.settings.supervisor,
            routes=self.routes,
            missing_after=2 * self.settings.agent.lease,
            chores=[settling.chore],
            outlook=self.ledger.supervision if reserve and self.settings.fleet is not None else None,
        )


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Raises StorageError, AwsError."""
    if settings.fleet is not None:
        async with _fleet_parts(settings, settings.fleet) as parts:
            yield parts
        return
    async with open_storage(settings) as storage:
        yield Parts(
            settings=settings,
            records=storage.records,
            ledger=storage.ledger,
            queue=storage.queue,
            dead_letters=storage.dead_letters,
            logs=storage.logs,
            manifests=storage.manifests,
            now=wall_clock,
        )


@asynccontextmanager
async def _fleet_parts(settings: Settings, fleet: FleetSettings) -> AsyncIterator[Parts]:
    # Imported here: what runs on a laptop must not pay for all of AWS.
    from runner.adapters.cloudwatch.reading import CloudWatchReader
    from runner.adapters.dynamodb.records import DynamoRecords
    from runner.adapters.s3.manifests import S3Manifests
    from runner.adapters.s3.reading import S3LogReader
    from runner.adapters.sqs.letters import SqsDeadLetters
    from runner.fleet_wiring import open_cloud

    channels = Routes.of(settings).channels
    async with open_cloud(settings, fleet) as cloud:
        queue, ledger = cloud.queue(dict(channels)), cloud.ledger()
        live = CloudWatchReader(cloud.aws, fleet.log_group) if fleet.log_group else None
        letters = SqsDeadLetters(cloud.aws, channels, name=fleet.queue_name, dead_letters=fleet.dead_letters)
        try:
            yield Parts(
                settings=settings,
                records=DynamoRecords(cloud.table, wall_clock, cloud.process, history=fleet.history),
                ledger=ledger,
                queue=queue,
                dead_letters=letters,
                logs=S3LogReader(cloud.aws, cloud.bucket, wall_clock, live),
                manifests=S3Manifests(cloud.aws, cloud.bucket),
                now=wall_clock,
                aws=cloud.aws,
            )
        finally:
            await queue.close()
            await ledger.flush()


async def instance_id() -> str:
    """This EC2 instance's. Raises NoMetadata, an Unavailable."""
    async with open_metadata() as metadata:
        return (await metadata.identity()).instance_id


def healthz(listen: str, report: Report) -> AbstractAsyncContextManager[int]:
    """Answers /healthz meanwhile; see `controller.adapters.healthz`. Raises Unavailable."""
    from controller.adapters.healthz import healthz

    return healthz(listen, report)


def process_environment(own: Mapping[str, str], scratch: str) -> dict[str, str]:
    """All variables of a task that runs as a process in the directory `scratch`, under no agent's name."""
    from runner.adapters.process.environment import inherited, task_environment

    return task_environment(inherited(os.environ), own, host="reproduce", scratch=scratch, mark="reproduce")
