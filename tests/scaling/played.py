"""Runs of the model for tests: a policy that asks for a fixed number, small fleets, a run in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.simulation.model.conditions import Conditions
from controller.simulation.model.metrics import Metrics, measured
from controller.simulation.model.policy import Leaving, Orders, Policy, Sight
from controller.simulation.model.product import Product
from controller.simulation.model.run import Run, Simulation
from controller.simulation.model.workload import Bag, Workload
from runner.routing import Routes
from runner.settings import Environment
from tests.fleets import AGENT, environment, fleet_of, on_demand

PRICE = 0.096
# Two slots on each machine.
STEADY = on_demand("small", "m6i.large", maximum=100)
SPOT = environment("small", "m6i.large", maximum=100)
EXACT = Conditions(boot=100.0, jitter=0.0)


class Fixed:
    """Asks for so many machines once; `then`: from each time on for another number."""

    name = "fixed"
    interval = 10.0

    def __init__(
        self, machines: int, leaving: Leaving, *, scales_in: bool, protects: bool, then: Mapping[float, int]
    ) -> None:
        self.leaving = leaving
        self.scales_in = scales_in
        self.protects = protects
        self.sights: list[Sight] = []
        self._wanted = {0.0: machines, **then}

    def step(self, sight: Sight) -> Orders:
        self.sights.append(sight)
        waiting = {"default.2x8": sum(job.waiting for job in sight.jobs)}
        due = [time for time in self._wanted if time <= sight.now]
        asked = self._wanted.pop(due[-1]) if due else None
        desired = {name: each.desired if asked is None else asked for name, each in sight.capacity.items()}
        return Orders(desired, waiting)


def fixed(
    machines: int,
    idle: float | None = 0.0,
    *,
    confirm: float = 0.0,
    scales_in: bool = False,
    protects: bool = True,
    then: Mapping[float, int] | None = None,
) -> Fixed:
    leaving = Leaving(idle, confirm, parting=0.0)
    return Fixed(machines, leaving, scales_in=scales_in, protects=protects, then=then or {})


def bag(*durations: float, arrival: float = 0.0, **more: Any) -> Bag:
    return Bag(more.pop("name", "bag"), arrival, durations, **more)


def routes(*environments: Environment, **more: Any) -> Routes:
    return Routes(fleet_of(*(environments or (STEADY,)), **more), AGENT)


def product(own: Routes, idle: float = 15.0) -> Product:
    return Product(own, Leaving(idle, 60.0))


def played(
    policy: Policy,
    *bags: Bag,
    conditions: Conditions = EXACT,
    own: Routes | None = None,
    seed: str = "0",
    sampled: bool = False,
) -> Run:
    simulation = Simulation(Workload("w", bags), own or routes(), policy, conditions, seed, sampled=sampled)
    return simulation.run()


def metrics(run: Run) -> Metrics:
    return measured(run, dict.fromkeys(run.machines, PRICE))
