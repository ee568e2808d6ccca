"""Mode batch has no messages and no machines of its own: a queue without channels, a fleet without environments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from controller.model import EnvironmentCapacity
from runner.errors import NotFound
from runner.model import Lease, TaskId
from runner.records import Backlog, DeadLetter


class NoQueue:
    """Implements `runner.ports.Queue`."""

    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:  # noqa: ARG002
        message = f"no queue {queue!r}: in mode batch nothing is sent"
        raise NotFound(message)

    async def receive(self, limit: int, *, wait: float, hide: float) -> Sequence[Lease]:  # noqa: ARG002
        return ()

    async def extend(self, leases: Sequence[Lease], hide: float) -> Sequence[Lease]:  # noqa: ARG002
        return leases

    async def complete(self, leases: Sequence[Lease]) -> None: ...

    async def release(self, lease: Lease, delay: float = 0.0) -> None: ...

    async def quarantine(self, lease: Lease, reason: str) -> None: ...

    async def backlog(self) -> Mapping[str, Backlog]:
        return {}


class NoDeadLetters:
    """Implements `controller.ports.DeadLetters`."""

    async def list(self, limit: int = 1000) -> Sequence[DeadLetter]:  # noqa: ARG002
        return ()

    async def replay(self, ids: Collection[str]) -> Sequence[DeadLetter]:  # noqa: ARG002
        return ()

    async def drop(self, ids: Collection[str]) -> Sequence[DeadLetter]:  # noqa: ARG002
        return ()


class NoFleet:
    """Implements `controller.ports.Fleet`."""

    trouble = ""

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        return {}

    async def resize(self, environment: str, desired: int) -> None: ...

    async def replace(self, environment: str, instance: str) -> None: ...

    async def stop(self) -> None: ...
