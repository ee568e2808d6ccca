"""Plays a scenario in a world of its own, and leaves nothing of it behind."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from controller.simulation.clock import VirtualTimeLoop, abandon
from controller.simulation.installation import Installation
from controller.simulation.watching import Watch
from controller.simulation.workload import Behave
from controller.simulation.world import World
from runner.instances import KNOWN
from runner.settings import (
    FLEET_AGENT,
    FLEET_SUPERVISOR,
    ON_DEMAND,
    Environment,
    FleetSettings,
    QueueSettings,
    Settings,
)

T = TypeVar("T")

MEMORY = Path("/dev/shm")  # noqa: S108  # where it is, the machines' disks are there


def a_fleet(*environments: Environment, **more: Any) -> Settings:
    """Settings of a fleet. Without `environments`: `spot`, and `steady` on demand, of 2 vCPUs each."""
    given = environments or (
        Environment("spot", (KNOWN["m6i.large"],), maximum=4),
        Environment("steady", (KNOWN["m6i.large"],), market=ON_DEMAND, spot_percent=0, maximum=4),
    )
    known = {each.name: each for each in given}
    queues = more.pop("queues", {"default": QueueSettings(0, tuple(known))})
    fleet: Mapping[str, Any] = {"boot": 90.0, "bucket": "sim-bucket", **more}
    return Settings(
        mode="fleet",
        engine="docker",
        queues={name: queue.priority for name, queue in queues.items()},
        agent=FLEET_AGENT,
        supervisor=replace(FLEET_SUPERVISOR, listen=None),
        fleet=FleetSettings("sim", "us-east-1", "sim", known, queues, **fleet),
    )


def play(
    scenario: Callable[[World], Awaitable[T]],
    *,
    seed: int | str = 0,
    settings: Settings | None = None,
    behave: Behave | None = None,
    made_of: type[Installation] = Installation,
) -> T:
    """What the scenario returns. The same seed plays the same history. Raises what the scenario raises."""
    loop = VirtualTimeLoop()
    breakdown = Breakdown()
    loop.set_exception_handler(breakdown.handle)
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="world-", dir=memory) as folder, _logs_kept() as logs:

        async def main() -> T:
            world = World(settings or a_fleet(), Path(folder), seed, behave, made_of)
            logs.append(world.watch)
            return await scenario(world)

        try:
            return loop.run_until_complete(main())
        except RuntimeError:
            if breakdown.error is not None:
                raise breakdown.error from None
            raise
        finally:
            logs.clear()
            abandon(loop)
            _close_files(folder)


class Breakdown:
    """A mistake in the simulation itself: it ends there and then, and is told."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "handle" in context and error is not None:
            self.error = self.error or error
            loop.stop()


@contextmanager
def _logs_kept() -> Iterator[list[Watch]]:
    """What the product logs goes to the watch that is put into the list, and otherwise nowhere."""
    to: list[Watch] = []

    def keep(_logger: object, method: str, event: Any) -> str:
        for watch in to:
            watch.log(method, event)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[keep],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=False,
    )
    try:
        yield to
    finally:
        structlog.configure(**before)


def _close_files(folder: str) -> None:
    """What processes that were killed had open: their descriptors are ours."""
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/"):
                    os.close(int(name))
