"""How a scenario with agents in virtual time is played."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from controller.simulation.clock import run
from runner.agent.loop import Agent
from runner.ports import ContainerSpec
from tests.agent.fakes import Behaviour
from tests.agent.world import World

Behave = Callable[[ContainerSpec], Behaviour]


class Play:
    """Runs a scenario in a world of its own and ends its agents afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self, scene: Callable[[World], Awaitable[None]], behave: Behave = lambda spec: Behaviour()
    ) -> None:
        async def main() -> None:
            await scene(World(self._folder, behave))

        run(main())


def started(agent: Agent) -> asyncio.Task[None]:
    return asyncio.create_task(agent.run())


def by_try(*behaviours: Behaviour) -> Behave:
    """The first behaviour on the first try, and so on; the last one for all others."""
    return lambda spec: behaviours[min(int(spec.env["RUNNER_ATTEMPT"]), len(behaviours)) - 1]


def by_job(**behaviours: Behaviour) -> Behave:
    return lambda spec: behaviours[spec.job_id]
