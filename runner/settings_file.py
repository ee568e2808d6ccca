"""What `runner.yaml` may say: the keys and defaults of `runner.settings`. See `docs/settings.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from runner.batch_file import BatchSection
from runner.batch_settings import BatchSettings
from runner.documents import load, resolved
from runner.emr_file import EmrSection
from runner.fleet_file import FleetSection, QueueName, QueueSection, name_problems
from runner.routing import Routes
from runner.schema import Section, checked, duration, number, one_of, shorthand, size, text, whole
from runner.settings import (
    BATCH,
    EMBEDDED,
    ENGINES,
    FLEET,
    FLEET_AGENT,
    FLEET_SUPERVISOR,
    MODES,
    AgentSettings,
    FleetSettings,
    SupervisorSettings,
)
from runner.validation import validated
from runner.wording import Loc

HOUR = 3600.0
TIB = 1024**4
# Of a lease. The agent stops what it could not renew for 0.65 of it: one lost beat must not do that.
MOST_BEAT = 0.3

_AGENT, _SUPERVISOR = AgentSettings(), SupervisorSettings()

DockerHost = text(
    4096,
    r"unix:///[^\s]+|tcp://[^\s/]+/?",
    "unix:///PATH or tcp://HOST:PORT",
)
Listen = text(256, r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", "HOST:PORT, such as 127.0.0.1:8080")


def _with_priority(value: object) -> object:
    """A queue's priority alone is a short way to write the queue."""
    return value if isinstance(value, dict) else {"priority": value}


Queues = dict[Annotated[str, checked(QueueName)], Annotated[QueueSection, shorthand(_with_priority)]]


class AgentSection(Section):
    vcpus: Annotated[float, checked(number(0.01, 1024))] | None = _AGENT.vcpus
    memory: Annotated[int, checked(size(6 * 1024**2, 64 * TIB))] | None = _AGENT.memory
    reserved_vcpus: Annotated[float, checked(number(0, 1024))] = _AGENT.reserved_vcpus
    reserved_memory: Annotated[int, checked(size(0, 64 * TIB))] = _AGENT.reserved_memory
    lease: Annotated[float, checked(duration(1, 12 * HOUR))] = _AGENT.lease
    beat: Annotated[float, checked(duration(0.1, HOUR))] = _AGENT.beat
    drain: Annotated[float, checked(duration(0, 24 * HOUR))] = _AGENT.drain
    idle: Annotated[float, checked(duration(0, 24 * HOUR))] = _AGENT.idle
    confirm: Annotated[float, checked(duration(0, HOUR))] = _AGENT.confirm
    prefetch: Annotated[float, checked(duration(0, 60))] = _AGENT.prefetch
    log_limit: Annotated[int, checked(size(4096, TIB))] = _AGENT.log_limit
    disk_reserve: Annotated[int, checked(size(0, 64 * TIB))] = _AGENT.disk_reserve


class SupervisorSection(Section):
    interval: Annotated[float, checked(duration(0.01, 60))] = _SUPERVISOR.interval
    lease: Annotated[float, checked(duration(1, HOUR))] = _SUPERVISOR.lease
    window: Annotated[int, checked(whole(1, 100_000))] = _SUPERVISOR.window
    max_agents: Annotated[int, checked(whole(1, 1000))] = _SUPERVISOR.max_agents
    listen: Annotated[str, checked(Listen)] | None = _SUPERVISOR.listen


class SettingsFile(Section):
    mode: Annotated[str, checked(one_of(MODES))] = "embedded"
    home: Annotated[str, checked(text(4096))] | None = None
    engine: Annotated[str, checked(one_of(ENGINES))] = "auto"
    docker_host: Annotated[str, checked(DockerHost)] | None = None
    queues: Queues | None = None
    agent: AgentSection = AgentSection()
    supervisor: SupervisorSection = SupervisorSection()
    fleet: FleetSection | None = None
    batch: BatchSection | None = None
    emr: EmrSection | None = None

    @property
    def in_cloud(self) -> bool:
        return self.mode != EMBEDDED

    def agent_settings(self) -> AgentSettings:
        """What is given, over the mode's defaults."""
        defaults = FLEET_AGENT if self.in_cloud else _AGENT
        return replace(defaults, **self.agent.model_dump(exclude_unset=True))

    def supervisor_settings(self) -> SupervisorSettings:
        defaults = FLEET_SUPERVISOR if self.in_cloud else _SUPERVISOR
        return replace(defaults, **self.supervisor.model_dump(exclude_unset=True))

    def fleet_settings(self) -> FleetSettings | None:
        return self.fleet.settings(self.queues or {}) if self.in_cloud and self.fleet else None

    def batch_settings(self, fleet: FleetSettings | None) -> BatchSettings | None:
        section = self.batch or (BatchSection() if self.mode == BATCH else None)
        return section.settings(fleet) if section else None

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if self.queues is not None and not 1 <= len(self.queues) <= 100:
            yield ("queues",), f"1 to 100 queues, not {len(self.queues)}"
        agent, supervisor = self.agent_settings(), self.supervisor_settings()
        if agent.beat > MOST_BEAT * agent.lease:
            beat = f"must be at most {MOST_BEAT:g} of lease: {agent.beat:g} and {agent.lease:g} seconds"
            yield ("agent", "beat"), beat
        if supervisor.interval >= supervisor.lease / 2:
            interval = f"{supervisor.interval:g} and {supervisor.lease:g} seconds"
            yield ("supervisor", "interval"), f"must be less than half of lease: {interval}"
        yield from self._fleet_problems()
        if self.batch is not None:
            yield from self.batch.wrong(in_cloud=self.in_cloud)
        if self.emr is not None:
            yield from self.emr.wrong(in_cloud=self.in_cloud)
        if self.emr and self.batch and self.emr.region != self.batch.region:
            yield ("emr", "region"), "must be batch.region: one installation is in one region"

    def _fleet_problems(self) -> Iterator[tuple[Loc, str]]:
        if self.fleet is None:
            if self.in_cloud:
                yield ("mode",), "needs a section fleet: its name, region and environments"
            return
        # In the embedded mode the section only waits for the day when the mode is changed.
        wrong = list(self.fleet.wrong(self.queues or {} if self.in_cloud else {}))
        yield from wrong
        fleet = None if wrong else self.fleet_settings()
        if fleet is not None and self.mode == FLEET:
            routes = Routes(fleet, self.agent_settings())
            yield from name_problems(fleet, {name: routes.channels_of_queue(name) for name in fleet.queues})


def read_settings(file: Path, cwd: Path) -> dict[str, Any]:
    """The fields of `Settings` that the file gives; a relative `home` is relative to it. Raises BadInput."""
    document = load(cwd / file, called=file)
    model = validated(SettingsFile, document.data, document.place)
    plain = model.model_dump(include={"mode", "engine", "docker_host"}, exclude_none=True)
    if model.home is not None:
        plain["home"] = resolved((cwd / file).parent, model.home)
    fleet = model.fleet_settings()
    if priorities := _priorities(model.queues, fleet):
        plain["queues"] = priorities
    return {
        **plain,
        "agent": model.agent_settings(),
        "supervisor": model.supervisor_settings(),
        "fleet": fleet,
        "batch": model.batch_settings(fleet),
        "emr": model.emr.settings(fleet) if model.emr else None,
        "source": str(file),
    }


def _priorities(
    queues: Mapping[str, QueueSection] | None, fleet: FleetSettings | None
) -> Mapping[str, int] | None:
    known = fleet.queues if fleet is not None else queues
    return {name: queue.priority for name, queue in known.items()} if known is not None else None
