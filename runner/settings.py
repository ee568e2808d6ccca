"""What an installation sets once: `runner.yaml` and the environment, as frozen values.

In mode `fleet` every resource in the cloud is named after the fleet: table `NAME`, bucket `NAME-ACCOUNT-REGION`, Auto
Scaling group `NAME-ENVIRONMENT`, one SQS queue per channel (`runner.routing`), `NAME-dead-letters`. In mode `batch` the
same section has no groups and no SQS queues but what `runner.batch_settings` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.batch_settings import BatchSettings
from runner.emr_settings import EmrSettings
from runner.instances import KNOWN, InstanceType

EMBEDDED, FLEET, BATCH = MODES = ("embedded", "fleet", "batch")
ENGINES = ("auto", "docker", "process")

SPOT, ON_DEMAND, MIXED = MARKETS = ("spot", "on_demand", "mixed")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How an agent works. None for `vcpus` or `memory`: the machine's, minus what is reserved."""

    vcpus: float | None = None
    memory: int | None = None
    reserved_vcpus: float = 0.0
    reserved_memory: int = 512 * 1024**2
    lease: float = 30.0
    beat: float = 2.0
    drain: float = 10.0
    idle: float = 10.0
    confirm: float = 60.0
    prefetch: float = 0.25
    log_limit: int = 10 * 1024**2
    disk_reserve: int = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """`listen`: HOST:PORT where `serve` answers /healthz; None: nowhere."""

    interval: float = 0.5
    lease: float = 10.0
    window: int = 5000
    max_agents: int = 1
    listen: str | None = None


# Requests cost money there, machines take minutes to come and two minutes to go.
FLEET_AGENT = AgentSettings(lease=60.0, beat=10.0, drain=90.0, idle=15.0)
FLEET_SUPERVISOR = SupervisorSettings(interval=5.0, lease=30.0, listen="127.0.0.1:8080")


@dataclass(frozen=True, slots=True)
class Environment:
    """A compute environment: a kind of machine, and how many of it there may be.

    `market` is spot, on_demand or mixed. The first `on_demand_base` machines are on demand, of those above it
    `spot_percent` are spot; for spot that is 0 and 100, for on_demand 0 and 0. `disk` is the root volume's size.
    """

    name: str
    instance_types: tuple[InstanceType, ...]
    market: str = SPOT
    on_demand_base: int = 0
    spot_percent: int = 100
    disk: int = 50 * 1024**3
    minimum: int = 0
    maximum: int = 10

    @property
    def on_demand(self) -> bool:
        """Whether none of its machines can be reclaimed."""
        return self.market == ON_DEMAND

    @property
    def price(self) -> float | None:
        """The most one of its machines costs, in dollars an hour at list price on demand. None if one is not known."""
        prices = [kind.price for kind in self.instance_types if kind.price is not None]
        return max(prices) if len(prices) == len(self.instance_types) else None


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """`priority`: higher is served first. `environments`: their names, the preferred first."""

    priority: int = 0
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """What only `deploy` needs to know: where machines stand, and what they start from.

    `subnets` empty: those of the default VPC. `image` and `image_arm`: an AMI, or the SSM parameter that names one,
    for machines with x86 and with Arm processors. `pull`: container images that machines fetch as they start.
    `controller`: the instance type that runs the supervisor. `alarm_topic`: an SNS topic's ARN, None: alarms only
    show in the console. `protect`: the table cannot be deleted by accident.
    """

    subnets: tuple[str, ...] = ()
    public_ip: bool = True
    image: str = "/aws/service/debian/release/12/latest/amd64"
    image_arm: str = "/aws/service/debian/release/12/latest/arm64"
    pull: tuple[str, ...] = ()
    controller: InstanceType = KNOWN["t4g.small"]
    alarm_topic: str | None = None
    protect: bool = True


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """A fleet in the cloud.

    `bucket` None: named after fleet, account and region (`bucket_name`). `log_group` None: no CloudWatch Logs.
    `history`: seconds that ended jobs are kept, None: for ever; a job that is not over so long after it was submitted
    is ended as FAILED. `ceiling`: dollars an hour for all environments together, None: none. `boot`: seconds from
    asking for a machine to its first task. `hour_of_waiting`: what it is worth, in dollars, that what waits ends an
    hour sooner. After `on_demand_after` losses to the infrastructure a task is kept off spot machines.
    """

    name: str
    region: str
    table: str
    environments: Mapping[str, Environment]
    queues: Mapping[str, QueueSettings]
    bucket: str | None = None
    log_group: str | None = None
    history: float | None = None
    ceiling: float | None = None
    boot: float = 180.0
    hour_of_waiting: float = 10.0
    on_demand_after: int = 2
    deployment: Deployment = Deployment()

    def bucket_name(self, account: str) -> str:
        return self.bucket or f"{self.name}-{account}-{self.region}"

    def group(self, environment: str) -> str:
        """The Auto Scaling group's name."""
        return f"{self.name}-{environment}"

    def queue_name(self, channel: str) -> str:
        """The SQS queue's name."""
        return f"{self.name}-{channel.replace('.', '-')}"

    @property
    def dead_letters(self) -> str:
        """The dead-letter queue's name."""
        return f"{self.name}-dead-letters"


@dataclass(frozen=True, slots=True)
class Settings:
    """`queues` maps a queue's name to its priority: higher is served first. `fleet` is given in the modes fleet and
    batch, and only there: the ledger and the rest of what is shared is in the cloud. `batch` is given in mode batch,
    and where single jobs may run on AWS Batch; `emr` where they may have clusters of Amazon EMR."""

    mode: str = EMBEDDED
    home: Path = field(default_factory=lambda: Path.home() / ".runner")
    engine: str = "auto"
    docker_host: str | None = None
    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 0})
    agent: AgentSettings = AgentSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    fleet: FleetSettings | None = None
    batch: BatchSettings | None = None
    emr: EmrSettings | None = None
    source: str | None = None

    @property
    def backend(self) -> str:
        """Where jobs run that do not say it (`runner.model.Job.backend`)."""
        return BATCH if self.mode == BATCH else ""

    @property
    def machines(self) -> FleetSettings | None:
        """The fleet, where it has machines of its own; None on one machine, and where AWS Batch has them."""
        return self.fleet if self.mode != BATCH else None
