"""What the engine contract needs of an engine under test, and which engines there are.

A rig makes engine objects as an agent would, and looks behind the engine's back at what exists of its
attempts. To hold a further engine to the contract, write a `Rig` and name it in `RIGS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pytest

from runner.model import Job
from runner.ports import Container, ContainerSpec, Engine


class Ability(Enum):
    """What not every engine can do. A test that needs one is left out where it is missing."""

    MOUNTS = auto()  # `ContainerSpec.mounts`, read-only ones enforced
    MEMORY_LIMIT = auto()  # ends a task that uses more than `ContainerSpec.memory`, with evidence
    USAGE = auto()  # peak memory and CPU seconds, of tasks that live a second
    IMAGES = auto()  # runs `ContainerSpec.image`
    ADOPTION = auto()  # takes over what an earlier agent left running; without, `recover` removes it


class Rig(Protocol):
    """One engine under test. Commands are POSIX shell and what both busybox and a Debian base system have."""

    name: str
    abilities: frozenset[Ability]

    async def engine(self, host: str, *, elsewhere: bool = False) -> Engine:
        """A new engine object for an agent named `host`, on the same machine and state as the rig's others;
        or `elsewhere`, in another installation on this machine.
        """
        ...

    async def crash(self, engine: Engine) -> None:
        """Drop the object as kill -9 of its agent would: nothing is stopped, nothing cleaned, it never acts
        again.
        """
        ...

    def job(self, job_id: str) -> Job: ...

    def spec(self, host: str, command: Sequence[str], **changes: Any) -> ContainerSpec:
        """A spec this engine can run, of a name never used before; `changes` are fields of `ContainerSpec`."""
        ...

    async def leftovers(self, host: str) -> Sequence[str]:
        """Names of whatever exists of attempts on `host`, running or not: containers, processes, scratch
        space.
        """
        ...

    async def everything(self, host: str) -> Sequence[str]:
        """The same, with what the engine keeps ready for attempts to come."""
        ...

    async def close(self) -> None:
        """Close and clean all that this rig made, crashed engines' too."""
        ...


@dataclass
class Capture:
    """An `Output` that keeps the first `limit` bytes and counts them all."""

    limit: int = 1 << 20
    written: int = 0
    kept: bytearray = field(default_factory=bytearray)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.kept += data[: max(0, self.limit - len(self.kept))]
        self.changed.set()

    async def contains(self, text: bytes) -> None:
        """Wait until `text` was written."""
        while text not in self.data:
            self.changed.clear()
            await self.changed.wait()

    @property
    def data(self) -> bytes:
        return bytes(self.kept)


@dataclass(frozen=True)
class Bench:
    """A rig with one engine, and one host's name that nobody else uses."""

    rig: Rig
    host: str
    engine: Engine

    def spec(self, *command: str, **changes: Any) -> ContainerSpec:
        return self.rig.spec(self.host, command, **changes)

    def script(self, text: str, **changes: Any) -> ContainerSpec:
        return self.spec("sh", "-c", text, **changes)

    async def start(self, spec: ContainerSpec) -> tuple[Container, Capture]:
        output = Capture()
        return await self.engine.start(spec, output), output

    def needs(self, ability: Ability) -> None:
        if ability not in self.rig.abilities:
            pytest.skip(f"the {self.rig.name} engine does not do {ability.name.lower()}")


# Where each rig is: module and class. It is made with a directory of its own.
RIGS = {
    "docker": ("tests.engines.rig_docker", "DockerRig", [pytest.mark.docker]),
    "process": ("tests.engines.rig_process", "ProcessRig", []),
}


def rig_parameters() -> list[Any]:
    return [pytest.param(name, marks=marks) for name, (_, _, marks) in RIGS.items()]


def make_rig(name: str, home: Path) -> Rig:
    module, rig, _ = RIGS[name]
    made: Rig = getattr(import_module(module), rig)(home)
    return made
