"""From settings to the ports the agent calls. Here and in `fleet_wiring` adapters are named, and nowhere else.

Everything of an installation on one machine lives under `settings.home`:

    runner.db            queue and ledger
    manifests/           lines and items of arrays
    logs/JOB/            one file per attempt
    hosts/HOST/          an agent's lock, journal, pulse, scratch space and own log
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.adapters.files import FileLogs
from runner.adapters.manifests import FileManifests
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.dead_letters import SqliteDeadLetters
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.aws import Aws, Reply
from runner.errors import BadInput
from runner.ports import Clock, Engine, Host, Ledger, Logs, Manifests, Queue, Roles, Secrets
from runner.routing import Routes
from runner.settings import Settings

if TYPE_CHECKING:
    from runner.adapters.docker.engine import DockerEngine
    from runner.adapters.ec2.metadata import InstanceMetadata
    from runner.agent.room import Room

wall_clock: Clock = time.time


@dataclass(frozen=True)
class Storage:
    """What controller and agents share."""

    database: Database
    queue: SqliteQueue
    ledger: SqliteLedger
    records: SqliteRecords
    dead_letters: SqliteDeadLetters
    logs: FileLogs
    manifests: FileManifests


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """Raises StorageError."""
    database = await Database.open(settings.home / "runner.db")
    try:
        yield Storage(
            database=database,
            queue=SqliteQueue(database, wall_clock, settings.queues),
            ledger=SqliteLedger(database, wall_clock, lease=settings.agent.lease),
            records=SqliteRecords(database, wall_clock),
            dead_letters=SqliteDeadLetters(database, wall_clock),
            logs=FileLogs(settings.home / "logs", settings.agent.log_limit),
            manifests=FileManifests(settings.home / "manifests"),
        )
    finally:
        await database.close()


@dataclass(frozen=True)
class Equipment:
    """What one agent works with. `channels`: where it takes messages from. `flush`: see `Station`."""

    host: Host
    room: Room
    engines: Mapping[str, Engine]
    queue: Queue
    ledger: Ledger
    logs: Logs
    manifests: Manifests
    secrets: Secrets
    roles: Roles
    routes: Routes
    channels: tuple[str, ...]
    flush: Callable[[], Awaitable[None]]


@asynccontextmanager
async def equip(settings: Settings, host: str) -> AsyncIterator[Equipment]:
    """An agent of this machine. Raises StorageError, BadInput."""
    # Imported here: the controller's reading commands need no agent.
    from runner.agent.room import Room
    from runner.agent.station import NoRoles, nothing_lingers

    machine = local_host(settings, host)
    room = Room(machine.capacity(), settings.agent.prefetch)
    engines = open_engines(settings, host, room.slots)
    try:
        async with open_storage(settings) as storage, open_secrets() as secrets:
            yield Equipment(
                host=machine,
                room=room,
                engines=engines,
                queue=storage.queue,
                ledger=storage.ledger,
                logs=storage.logs,
                manifests=storage.manifests,
                secrets=secrets,
                roles=NoRoles(),
                routes=Routes.of(settings),
                channels=tuple(settings.queues),
                flush=nothing_lingers,
            )
    finally:
        for engine in engines.values():
            await engine.close()


def host_state(settings: Settings, host: str) -> Path:
    return settings.home / "hosts" / host


def local_host(settings: Settings, host: str) -> Host:
    from runner.adapters.local import LocalHost

    return LocalHost(host, settings.agent, settings.home, sharers=settings.supervisor.max_agents)


@asynccontextmanager
async def open_secrets(connected: Mapping[str, Aws] | None = None) -> AsyncIterator[Secrets]:
    """Those of this process's environment and this machine's files, and by ARN those of AWS. `connected`: the services
    that are open already, by region."""
    from runner.adapters.aws_secrets import AwsSecrets
    from runner.adapters.secrets import LocalSecrets

    secrets = AwsSecrets(LocalSecrets(os.environ), _services, connected)
    try:
        yield secrets
    finally:
        await secrets.close()


def _services(region: str) -> Aws:
    from runner.adapters.boto import BotoAws  # dear to import, and most jobs need none of it

    return BotoAws(region)


@asynccontextmanager
async def open_aws(region: str) -> AsyncIterator[Aws]:
    aws = _services(region)
    try:
        yield aws
    finally:
        await aws.close()


class LaterAws:
    """Implements `runner.aws.Aws`; opened by the first call, for most commands make none."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._aws: Aws | None = None

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if self._aws is None:
            self._aws = _services(self._region)
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None:
        if self._aws is not None:
            await self._aws.close()


@asynccontextmanager
async def open_metadata() -> AsyncIterator[InstanceMetadata]:
    """What the EC2 instance that this runs on says of itself."""
    from runner.adapters.ec2.metadata import InstanceMetadata  # an HTTP client, which few commands need

    metadata = InstanceMetadata(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"))
    try:
        yield metadata
    finally:
        await metadata.close()


def service_notifier() -> Callable[[str], None]:
    """Where signs of life go, beside the watchdog's file."""
    from runner.adapters.systemd import notifier

    return notifier(os.environ)


def open_engines(settings: Settings, host: str, slots: int) -> Mapping[str, Engine]:
    """By name; whether they answer is for `check` to say. Raises BadInput if the one engine asked for has an address
    that cannot be used."""
    # Imported here: the controller's reading commands must not pay for an HTTP client.
    from runner.adapters.process.engine import ProcessEngine

    engines: dict[str, Engine] = {}
    if settings.engine != "docker":
        engines["process"] = ProcessEngine(host, host_state(settings, host), wall_clock)
    if settings.engine != "process":
        try:
            engines["docker"] = docker_engine(settings, host, slots)
        except BadInput:
            if settings.engine == "docker":
                raise
    return engines


def docker_engine(settings: Settings, host: str, slots: int) -> DockerEngine:
    from runner.adapters.docker.engine import DockerEngine

    return DockerEngine(host, slots, host_state(settings, host), settings.docker_host, wall_clock)


async def docker_trouble(settings: Settings) -> str:
    """An empty string if a Docker engine answers, else one line on what is wrong."""
    try:
        engine = docker_engine(settings, f"probe-{os.getpid()}", 0)
    except BadInput as error:
        return str(error)
    try:
        return await engine.check()
    finally:
        await engine.close()
