"""What an installation sets once: `runner.yaml` and the environment, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODES = ("embedded",)
ENGINES = ("auto", "docker", "process")


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
    prefetch: float = 0.25
    log_limit: int = 10 * 1024**2
    disk_reserve: int = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    interval: float = 0.5
    lease: float = 10.0
    window: int = 5000
    max_agents: int = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """`queues` maps a queue's name to its priority: higher is served first."""

    mode: str = "embedded"
    home: Path = field(default_factory=lambda: Path.home() / ".runner")
    engine: str = "auto"
    docker_host: str | None = None
    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 0})
    agent: AgentSettings = AgentSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    source: str | None = None
