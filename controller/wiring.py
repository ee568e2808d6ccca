"""The one place in this package that names adapters: from settings to everything the commands work with."""

from __future__ import annotations

import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from controller.ports import DeadLetters, LogReader, Records
from runner.aws import Aws
from runner.batch_settings import BatchSettings
from runner.emr_settings import EmrSettings
from runner.errors import BadInput
from runner.model import BATCH, EMR
from runner.ports import Clock, Ledger, Manifests, Queue
from runner.routing import Routes
from runner.settings import FleetSettings, Settings
from runner.wiring import LaterAws, open_metadata, open_storage, wall_clock

if TYPE_CHECKING:
    from controller.adapters.healthz import Report
    from controller.ports import Backend, Fleet, Machines
    from controller.supervisor import Supervisor
    from runner.fleet_wiring import Cloud


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
    def backends(self) -> Mapping[str, Backend]:
        """What runs jobs that do not run on this installation's own machines, by the names that jobs have for it. Ask
        inside a running event loop."""
        backends: dict[str, Backend] = {}
        if self.settings.batch is not None:
            backends[BATCH] = self._batch(self.settings.batch)
        if self.settings.emr is not None:
            backends[EMR] = self._emr(self.settings.emr)
        return backends

    def _batch(self, settings: BatchSettings) -> Backend:
        assert self.aws is not None
        from controller.adapters.batch.backend import BatchBackend

        return BatchBackend(
            self.aws, self.records, self.ledger, self.manifests, settings, self.now, random.random
        )

    def _emr(self, settings: EmrSettings) -> Backend:
        assert self.aws is not None
        from controller.adapters.emr.backend import EmrBackend

        return EmrBackend(self.aws, self.records, self.ledger, settings, self.now, random.random)

    @cached_property
    def routes(self) -> Routes:
        return Routes.of(self.settings)

    # Imported when asked for: commands that only read start in half the time without supervisor and log.
    @cached_property
    def fleet(self) -> Fleet:
        if self.settings.machines is not None:
            assert self.aws is not None
            from controller.adapters.asg import AsgFleet

            return AsgFleet(self.aws, self.settings.machines, self.now)
        if self.settings.fleet is not None:
            from controller.adapters.absent import NoFleet

            return NoFleet()
        from controller.adapters.processes import ProcessFleet

        return ProcessFleet(self.settings)

    def machines(self) -> Machines:
        """Raises BadInput where tasks run on this machine."""
        if self.settings.machines is None or self.aws is None:
            message = "machines can be started in mode fleet only"
            raise BadInput(message)
        from controller.adapters.single import SingleInstances

        return SingleInstances(self.aws, self.settings.machines)

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
            backends=self.backends,
            outlook=self.ledger.supervision if reserve and self.settings.fleet is not None else None,
        )


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Raises StorageError, AwsError."""
    if settings.fleet is not None:
        async with _fleet_parts(settings, settings.fleet) as parts:
            yield parts
        return
    async with open_storage(settings) as storage, _aside(settings) as aws:
        yield Parts(
            settings=settings,
            records=storage.records,
            ledger=storage.ledger,
            queue=storage.queue,
            dead_letters=storage.dead_letters,
            logs=_with_others(aws, settings, storage.records, storage.logs),
            manifests=storage.manifests,
            now=wall_clock,
            aws=aws,
        )


@asynccontextmanager
async def _aside(settings: Settings) -> AsyncIterator[Aws | None]:
    """AWS for one machine, where some jobs run on AWS Batch or Amazon EMR."""
    aside = settings.batch or settings.emr
    if aside is None:
        yield None
        return
    aws = LaterAws(aside.region)
    try:
        yield aws
    finally:
        await aws.close()


def _with_others(aws: Aws | None, settings: Settings, records: Records, logs: LogReader) -> LogReader:
    """Also of what runs elsewhere."""
    if aws is not None and settings.batch is not None:
        from controller.adapters.batch.logs import BatchLogReader

        logs = BatchLogReader(aws, settings.batch.log_group, logs)
    if aws is not None and settings.emr is not None:
        from controller.adapters.emr.logs import EmrLogReader

        logs = EmrLogReader(aws, records, logs)
    return logs


@asynccontextmanager
async def _fleet_parts(settings: Settings, fleet: FleetSettings) -> AsyncIterator[Parts]:
    # Imported here: what runs on a laptop must not pay for all of AWS.
    from runner.adapters.cloudwatch.reading import CloudWatchReader
    from runner.adapters.dynamodb.records import DynamoRecords
    from runner.adapters.s3.manifests import S3Manifests
    from runner.adapters.s3.reading import S3LogReader
    from runner.fleet_wiring import open_cloud

    async with open_cloud(settings, fleet) as cloud, _messages(cloud) as (queue, letters):
        ledger = cloud.ledger()
        live = CloudWatchReader(cloud.aws, fleet.log_group) if fleet.log_group else None
        logs = S3LogReader(cloud.aws, cloud.bucket, wall_clock, live)
        records = DynamoRecords(cloud.table, wall_clock, cloud.process, history=fleet.history)
        try:
            yield Parts(
                settings=cloud.settings,
                records=records,
                ledger=ledger,
                queue=queue,
                dead_letters=letters,
                logs=_with_others(cloud.aws, cloud.settings, records, logs),
                manifests=S3Manifests(cloud.aws, cloud.bucket),
                now=wall_clock,
                aws=cloud.aws,
            )
        finally:
            await ledger.flush()


@asynccontextmanager
async def _messages(cloud: Cloud) -> AsyncIterator[tuple[Queue, DeadLetters]]:
    if cloud.settings.machines is None:
        from controller.adapters.absent import NoDeadLetters, NoQueue

        yield NoQueue(), NoDeadLetters()
        return
    from runner.adapters.sqs.letters import SqsDeadLetters

    fleet, channels = cloud.fleet, Routes.of(cloud.settings).channels
    queue = cloud.queue(dict(channels))
    letters = SqsDeadLetters(cloud.aws, channels, name=fleet.queue_name, dead_letters=fleet.dead_letters)
    try:
        yield queue, letters
    finally:
        await queue.close()


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
