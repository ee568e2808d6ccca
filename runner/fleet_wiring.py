"""From settings to the adapters of mode `fleet`: what is shared in the cloud, and what is one instance's own."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.adapters.cloudwatch.feed import CloudWatchFeed
from runner.adapters.credentials.roles import TaskRoles
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.table import Table
from runner.adapters.ec2.host import Ec2Host
from runner.adapters.ec2.metadata import Identity, InstanceMetadata
from runner.adapters.files import FileLogWriter
from runner.adapters.local import LocalHost
from runner.adapters.s3.logs import S3Logs
from runner.adapters.s3.manifests import S3Manifests
from runner.adapters.sqs.queue import SqsQueue
from runner.agent.room import Room
from runner.aws import Aws
from runner.errors import BadInput, Place
from runner.routing import Routes
from runner.settings import FleetSettings, Settings
from runner.wiring import (
    Equipment,
    docker_engine,
    host_state,
    open_aws,
    open_metadata,
    open_secrets,
    wall_clock,
)
from runner.wording import choices, shown

ENVIRONMENT = "RUNNER_ENVIRONMENT"


@dataclass(frozen=True)
class Cloud:
    """`settings`: with all that only the account tells. `process`: a name that no process had before; what it writes is
    known by it."""

    settings: Settings
    fleet: FleetSettings
    aws: Aws
    table: Table
    bucket: str
    process: str

    def ledger(self) -> DynamoLedger:
        lease, history = self.settings.agent.lease, self.fleet.history
        return DynamoLedger(self.table, wall_clock, lease, self.process, history=history)

    def queue(self, channels: dict[str, int]) -> SqsQueue:
        """One that receives from these, and sends to any."""
        return SqsQueue(
            self.aws,
            wall_clock,
            channels,
            name=self.fleet.queue_name,
            dead_letters=self.fleet.dead_letters,
        )


@asynccontextmanager
async def open_cloud(settings: Settings, fleet: FleetSettings) -> AsyncIterator[Cloud]:
    """Raises AwsError."""
    async with open_aws(fleet.region) as aws:
        bucket, batch = fleet.bucket, settings.batch
        if bucket is None or (batch is not None and batch.needs_account):
            caller = await aws.call("sts", "get_caller_identity")
            bucket = fleet.bucket_name(caller["Account"])
            if batch is not None:
                settings = replace(settings, batch=batch.in_account_of(caller["Arn"]))
        table = Table(aws, fleet.table, random.random)
        yield Cloud(settings, fleet, aws, table, bucket, secrets.token_hex(5))


@dataclass(frozen=True)
class Instance:
    """The EC2 instance that this agent is on."""

    metadata: InstanceMetadata
    identity: Identity
    environment: str

    @property
    def name(self) -> str:
        return self.identity.instance_id


@asynccontextmanager
async def open_instance(fleet: FleetSettings) -> AsyncIterator[Instance]:
    """Raises NoMetadata, and BadInput where nobody said which environment this machine is of."""
    environment = os.environ.get(ENVIRONMENT, "")
    if environment not in fleet.environments:
        problem = f"unknown environment {shown(environment)}; {choices(environment, fleet.environments)}"
        raise BadInput(problem, Place(key=ENVIRONMENT))
    async with open_metadata() as metadata:
        yield Instance(metadata, await metadata.identity(), environment)


@asynccontextmanager
async def equip_instance(
    settings: Settings, fleet: FleetSettings, instance: Instance, incarnation: str
) -> AsyncIterator[Equipment]:
    """Open under the host's lock. Raises AwsError."""
    state = host_state(settings, instance.name)
    machine = LocalHost(instance.name, settings.agent, settings.home)
    room = Room(machine.capacity(), settings.agent.prefetch, alone=False)
    docker = docker_engine(settings, instance.name, room.slots)
    routes = Routes.of(settings)
    channels = dict(routes.channels_of(instance.environment))
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(open_cloud(settings, fleet))
        known = await stack.enter_async_context(open_secrets({fleet.region: cloud.aws}))
        logs = _logs(cloud, f"{instance.name}#{incarnation}", state)
        queue, ledger = cloud.queue(channels), cloud.ledger()
        roles = TaskRoles(cloud.aws, state / "credentials", wall_clock)
        for close in (logs.close, queue.close, roles.close, docker.close):
            stack.push_async_callback(close)
        logs.start()

        async def flush() -> None:
            await ledger.flush()
            await queue.flush()

        yield Equipment(
            host=Ec2Host(
                instance.identity, machine, instance.metadata, cloud.aws, wall_clock, docker.reclaim
            ),
            room=room,
            engines={docker.name: docker},
            queue=queue,
            ledger=ledger,
            logs=logs,
            manifests=S3Manifests(cloud.aws, cloud.bucket),
            secrets=known,
            roles=roles,
            routes=routes,
            channels=tuple(channels),
            flush=flush,
        )


def _logs(cloud: Cloud, owner: str, state: Path) -> S3Logs:
    group, limit = cloud.fleet.log_group, cloud.settings.agent.log_limit
    return S3Logs(
        cloud.aws,
        cloud.bucket,
        owner,
        state,
        lambda path: FileLogWriter(path, limit),
        wall_clock,
        live=CloudWatchFeed(cloud.aws, group, owner, wall_clock) if group else None,
    )
