"""What `runner.yaml` may say: the keys and defaults of `runner.settings`. See `docs/settings.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from runner.documents import load, resolved
from runner.schema import Section, checked, duration, number, one_of, size, text, whole
from runner.settings import ENGINES, MODES, AgentSettings, SupervisorSettings
from runner.validation import validated
from runner.wording import Loc

HOUR = 3600.0
TIB = 1024**4
# Of a lease. The agent stops what it could not renew for 0.65 of it: one lost beat must not do that.
MOST_BEAT = 0.3

_AGENT, _SUPERVISOR = AgentSettings(), SupervisorSettings()

QueueName = text(64, "[A-Za-z0-9][A-Za-z0-9_-]*", "letters, digits, '_' and '-', a letter or digit first")
DockerHost = text(
    4096,
    r"unix:///[^\s]+|tcp://[^\s/]+/?",
    "unix:///PATH or tcp://HOST:PORT",
)


class AgentSection(Section):
    vcpus: Annotated[float, checked(number(0.01, 1024))] | None = _AGENT.vcpus
    memory: Annotated[int, checked(size(6 * 1024**2, 64 * TIB))] | None = _AGENT.memory
    reserved_vcpus: Annotated[float, checked(number(0, 1024))] = _AGENT.reserved_vcpus
    reserved_memory: Annotated[int, checked(size(0, 64 * TIB))] = _AGENT.reserved_memory
    lease: Annotated[float, checked(duration(1, 12 * HOUR))] = _AGENT.lease
    beat: Annotated[float, checked(duration(0.1, HOUR))] = _AGENT.beat
    drain: Annotated[float, checked(duration(0, 24 * HOUR))] = _AGENT.drain
    idle: Annotated[float, checked(duration(0, 24 * HOUR))] = _AGENT.idle
    prefetch: Annotated[float, checked(duration(0, 60))] = _AGENT.prefetch
    log_limit: Annotated[int, checked(size(4096, TIB))] = _AGENT.log_limit
    disk_reserve: Annotated[int, checked(size(0, 64 * TIB))] = _AGENT.disk_reserve

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if self.beat > MOST_BEAT * self.lease:
            yield (
                ("agent", "beat"),
                f"must be at most {MOST_BEAT:g} of lease: {self.beat:g} and {self.lease:g} seconds",
            )


class SupervisorSection(Section):
    interval: Annotated[float, checked(duration(0.01, 60))] = _SUPERVISOR.interval
    lease: Annotated[float, checked(duration(1, HOUR))] = _SUPERVISOR.lease
    window: Annotated[int, checked(whole(1, 100_000))] = _SUPERVISOR.window
    max_agents: Annotated[int, checked(whole(1, 1000))] = _SUPERVISOR.max_agents

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if self.interval >= self.lease / 2:
            key: Loc = ("supervisor", "interval")
            yield key, f"must be less than half of lease: {self.interval:g} and {self.lease:g} seconds"


class SettingsFile(Section):
    mode: Annotated[str, checked(one_of(MODES))] = "embedded"
    home: Annotated[str, checked(text(4096))] | None = None
    engine: Annotated[str, checked(one_of(ENGINES))] = "auto"
    docker_host: Annotated[str, checked(DockerHost)] | None = None
    queues: dict[Annotated[str, checked(QueueName)], Annotated[int, checked(whole(-1000, 1000))]] | None = (
        None
    )
    agent: AgentSection = AgentSection()
    supervisor: SupervisorSection = SupervisorSection()

    def problems(self) -> Iterator[tuple[Loc, str]]:
        if self.queues is not None and not 1 <= len(self.queues) <= 100:
            yield ("queues",), f"1 to 100 queues, not {len(self.queues)}"
        yield from self.agent.problems()
        yield from self.supervisor.problems()


def read_settings(file: Path, cwd: Path) -> dict[str, Any]:
    """The fields of `Settings` that the file gives; a relative `home` is relative to it. Raises BadInput."""
    document = load(cwd / file, called=file)
    model = validated(SettingsFile, document.data, document.place)
    plain = model.model_dump(include={"mode", "engine", "docker_host", "queues"}, exclude_none=True)
    if model.home is not None:
        plain["home"] = resolved((cwd / file).parent, model.home)
    agent = AgentSettings(**model.agent.model_dump())
    supervisor = SupervisorSettings(**model.supervisor.model_dump())
    return {**plain, "agent": agent, "supervisor": supervisor, "source": str(file)}
