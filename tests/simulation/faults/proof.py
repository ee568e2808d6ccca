"""Plays a scenario to its end: once it is over its jobs must end, its machines go, and every promise be kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from controller.listing import list_tasks
from controller.simulation.checker import check
from controller.simulation.play import play
from controller.simulation.promises.rule import End, JobEnd, Terms
from controller.simulation.workload import Behave
from controller.simulation.world import World
from runner.settings import Settings
from tests.simulation.faults.scenes import time

Scene = Callable[[World], Awaitable[None]]

# In virtual seconds.
JOBS_END_WITHIN, MACHINES_GO_WITHIN = 7200.0, 1800.0


def proven(
    scene: Scene, *, settings: Settings | None = None, behave: Behave | None = None, seed: int | str = 0
) -> None:
    """The scene undoes what lasts of its faults."""

    async def to_its_end(world: World) -> None:
        await scene(world)
        for job in [event.subject for event in world.history.of("registered")]:
            await world.until_ended(job, JOBS_END_WITHIN)
        await world.until_empty(MACHINES_GO_WITHIN)
        await world.until(lambda: wanted(world) == 0, limit=MACHINES_GO_WITHIN)
        await keeps_all_promises(world)

    play(to_its_end, settings=settings, behave=behave, seed=seed)


def wanted(world: World) -> int:
    """Machines beyond the minimum that groups want, also ones they could not get."""
    return sum(group.desired - group.minimum for group in world.autoscaling.groups.values())


async def keeps_all_promises(world: World) -> None:
    jobs = {}
    for job in [event.subject for event in world.history.of("registered")]:
        record = await world.job(job)
        tasks = {task.task.index: task async for task in list_tasks(world.records, record)}
        jobs[job] = JobEnd(record, tasks)
    terms = Terms(world.settings.agent.lease, world.fleet.dead_letters, world.sqs.behaviour.lag)
    violations = check(world.history.events, End(time(), jobs), terms)
    assert not violations, "\n".join(map(str, violations))
