"""The light model beside the whole system in virtual time: real agents and supervisor over simulated services."""

from __future__ import annotations

import pytest

from controller.simulation.model.conditions import Conditions
from controller.simulation.model.metrics import Metrics, measured
from controller.simulation.model.policy import Leaving
from controller.simulation.model.product import Product
from controller.simulation.model.run import Simulation
from controller.simulation.model.workload import Bag, Workload
from controller.simulation.play import a_fleet, play
from controller.simulation.workload import steady
from controller.simulation.world import World
from runner.routing import Routes
from runner.settings import Settings
from tests.fleets import on_demand

TASKS, SECONDS = 60, 100.0
HOUR = 3600.0


def settings(worth: float) -> Settings:
    return a_fleet(on_demand("steady", "m6i.large", maximum=20), boot=90.0, hour_of_waiting=worth)


def whole_system(worth: float, seed: int) -> tuple[float, float, int]:
    """Seconds to the last task's end, machine-hours, machines."""

    async def scene(world: World) -> tuple[float, float, int]:
        world.start_controller()
        job = await world.submit(array=TASKS)
        began = next(iter(world.history.of("registered"))).at
        await world.until_ended(job)
        await world.until_empty()
        launched = {event.subject: event.at for event in world.history.of("launched")}
        gone = {event.subject: event.at for event in world.history.of("terminated")}
        ended = max(event.at for event in world.history.of("container-ended"))
        return ended - began, sum(gone[name] - at for name, at in launched.items()) / HOUR, len(launched)

    return play(scene, seed=seed, settings=settings(worth), behave=steady(SECONDS))


def model(worth: float, seed: int) -> Metrics:
    given = settings(worth)
    assert given.fleet is not None
    routes = Routes(given.fleet, given.agent)
    policy = Product(routes, Leaving(given.agent.idle, given.agent.confirm))
    workload = Workload("", [Bag("job", 0.0, [SECONDS] * TASKS)])
    run = Simulation(workload, routes, policy, Conditions(boot=90.0, jitter=0.2), str(seed)).run()
    return measured(run, {"steady": 0.096})


@pytest.mark.parametrize("worth", [1.0, 10.0])
def test_both_tell_nearly_the_same(worth: float) -> None:
    makespan, hours, machines = whole_system(worth, 0)
    found = model(worth, 0)
    assert found.launched == machines
    assert found.makespan == pytest.approx(makespan, rel=0.05)
    assert found.machine_hours == pytest.approx(hours, rel=0.05)
