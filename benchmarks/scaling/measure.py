"""Runs of every policy over every workload, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from benchmarks.scaling import baselines, bounds, hindsight
from benchmarks.scaling.bounds import Launch, Part, in_turn
from benchmarks.scaling.workloads import BOOT, Case, Maker
from controller.simulation.model.conditions import Conditions
from controller.simulation.model.groups import NOTICE, draws
from controller.simulation.model.metrics import Metrics, measured
from controller.simulation.model.policy import Leaving, Policy
from controller.simulation.model.product import Product
from controller.simulation.model.run import Simulation
from controller.simulation.model.workload import Bag, Workload
from runner.array import Array
from runner.model import Job, Limits
from runner.routing import Routes
from runner.settings import FLEET_AGENT, Environment, FleetSettings, QueueSettings

# What an hour of waiting is worth, in dollars.
WORTHS = (1.0, 10.0, 100.0)

# What a task is taken to need where nothing is known, by those baselines that must know it.
ASSUMED = 60.0

# The agents' settings where a fleet is.
LEAVING = Leaving(FLEET_AGENT.idle, FLEET_AGENT.confirm)

# Workloads where jobs keep coming; there it is also measured what it is worth to wait longer for the next.
STREAMS = ("trickle", "waves, gap ≈ boot", "waves, gap ≈ 600 s", "daily cycle")
STREAM_WORTH = 10.0
PATIENCE = 600.0

# Workloads where it is also measured what the best number of machines would have come to.
LOOKED_BACK = (
    "50 × 30 s",
    "heavy-tailed",
    "99 short, 1 long",
    "waves, gap ≈ boot",
    "waves, gap ≈ 600 s",
    "daily cycle",
    "mixed shapes",
    "spot, one by one",
    "spot, all at once",
    "late counts",
)

# Beyond the machines there may be at a time, for those that are reclaimed.
LAUNCHES = 2.0


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is told of how long tasks take: `factor` times the truth; None: nothing."""

    name: str
    factor: float | None

    def of(self, workload: Workload) -> Workload:
        told = [
            replace(bag, told=None if self.factor is None else self.factor * bag.mean)
            for bag in workload.bags
        ]
        return replace(workload, bags=told)


KNOWN = Knowledge("known", 1.0)
KNOWLEDGE = (KNOWN, Knowledge("unknown", None), Knowledge("half", 0.5), Knowledge("twice", 2.0))


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `bounds`: what nobody can beat, for each of `WORTHS`. `worth`: what this project was told, or None for
    those that cannot be told."""

    workload: str
    seed: int
    policy: str
    knowledge: str
    worth: float | None
    metrics: Metrics
    bounds: Sequence[float]

    def ratio(self, worth: float) -> float:
        return self.metrics.cost(worth) / self.bounds[WORTHS.index(worth)]


def measure(name: str, maker: Maker, seed: int, knowledge: Sequence[Knowledge] = KNOWLEDGE) -> list[Measured]:
    """One workload of one seed: every baseline with durations known, and this project with each `knowledge`."""
    case = maker(Random(f"{seed}/{name}"))
    least = bound(case, seed)

    def measured_one(policy: Policy, routes: Routes, told: Knowledge, worth: float | None) -> Measured:
        return Measured(
            name, seed, policy.name, told.name, worth, run(case, policy, routes, seed, told), least
        )

    routes = routes_of(case)
    found = [
        measured_one(policy, routes, KNOWN, None)
        for policy in baselines.all_of(routes, case.workload.bags[-1].arrival, BOOT, ASSUMED).values()
    ]
    for worth in WORTHS:
        own = routes_of(case, hour_of_waiting=worth)
        found += [measured_one(Product(own, LEAVING), own, told, worth) for told in knowledge]
    if name in STREAMS:
        own = routes_of(case, hour_of_waiting=STREAM_WORTH)
        found.append(measured_one(Patient(own, replace(LEAVING, idle=PATIENCE)), own, KNOWN, STREAM_WORTH))
    return found + (_looked_back(name, case, seed, least) if name in LOOKED_BACK else [])


def _looked_back(name: str, case: Case, seed: int, least: Sequence[float]) -> list[Measured]:
    """For each worth what is best there."""
    routes = routes_of(case)
    found = [run(case, policy, routes, seed) for policy in hindsight.every(routes)]
    return [
        Measured(
            name,
            seed,
            hindsight.NAME,
            KNOWN.name,
            worth,
            min(found, key=lambda metrics: metrics.cost(worth)),
            least,
        )
        for worth in WORTHS
    ]


class Patient(Product):
    """With agents that wait longer for the next job."""

    name = f"{Product.name}, `agent.idle` 10m"


def run(case: Case, policy: Policy, routes: Routes, seed: int, knowledge: Knowledge = KNOWN) -> Metrics:
    simulation = Simulation(knowledge.of(case.workload), routes, policy, case.conditions, str(seed))
    return measured(simulation.run(), {each.name: each.price or 0.0 for each in case.environments})


def routes_of(case: Case, **more: Any) -> Routes:
    environments = {each.name: each for each in case.environments}
    queues = {"default": QueueSettings(0, tuple(environments))}
    fleet = FleetSettings("f", "us-east-1", "f", environments, queues, boot=BOOT, **more)
    return Routes(fleet, replace(FLEET_AGENT, reserved_memory=0))


def bound(case: Case, seed: int) -> list[float]:
    """The least cost for each of `WORTHS`, in dollars."""
    curves = [bounds.curve(part) for part in parts(case, seed)]
    return [bounds.least_cost(curves, worth) for worth in WORTHS]


def parts(case: Case, seed: int) -> list[Part]:
    """By environment, those that have something to do."""
    routes = routes_of(case)
    divided: dict[str, list[Bag]] = {}
    for bag in case.workload.bags:
        divided.setdefault(_environment(bag, routes), []).append(bag)
    return [
        _part(divided[each.name], each, routes, case.conditions, seed)
        for each in case.environments
        if each.name in divided
    ]


def _part(
    bags: Sequence[Bag], environment: Environment, routes: Routes, conditions: Conditions, seed: int
) -> Part:
    gone = min(
        (each.at for each in conditions.reclaims if each.environment == environment.name), default=None
    )
    return Part(
        bags=bags,
        machine=routes.machine(environment.name),
        price=environment.price or 0.0,
        launches=_launches(bags, environment, conditions, seed, gone),
        at_once=environment.maximum,
        again=[] if gone is None else [_again(conditions, environment.name, gone)] * environment.maximum,
    )


def _launches(
    bags: Sequence[Bag], environment: Environment, conditions: Conditions, seed: int, gone: float | None
) -> Sequence[Launch]:
    most = environment.maximum
    fate = draws(conditions, environment, str(seed), int(LAUNCHES * most))
    asked = _asked(conditions, environment.name, most)
    if gone is not None:
        # Who knows it launches none that would not be up by then; which those are is not known here, so all boot as
        # fast as any.
        shortest = conditions.boot * (1 - conditions.jitter)
        return [
            Launch(at, min(shortest, life), gone, NOTICE) for at, (_, life) in zip(asked, fate, strict=False)
        ]
    reclaimed = any(life < math.inf for _, life in fate)
    if reclaimed and not any(asked) and not any(bag.arrival for bag in bags):
        return in_turn(fate, most, NOTICE)
    # Of those that are reclaimed one by one while others end themselves, all may live as long as they are needed.
    return [Launch(at, min(boot, life)) for at, (boot, life) in zip(asked, fate, strict=False)]


def _asked(conditions: Conditions, environment: str, count: int) -> list[float]:
    """When each of the first machines may be asked for: those beyond a shortage at the start, after it."""
    short = [each for each in conditions.shortages if each.environment == environment and each.start <= 0.0]
    return [max((each.end for each in short if index >= each.most), default=0.0) for index in range(count)]


def _again(conditions: Conditions, environment: str, gone: float) -> Launch:
    """As soon as any may, after all were reclaimed."""
    short = [
        each
        for each in conditions.shortages
        if each.environment == environment and each.start <= gone < each.end
    ]
    return Launch(max([gone, *(each.end for each in short)]), conditions.boot * (1 - conditions.jitter))


def _environment(bag: Bag, routes: Routes) -> str:
    job = Job("x", "x", ("x",), Array.of_size(1), limits=Limits(vcpus=bag.vcpus, memory=bag.memory))
    return routes.environments_of(routes.channel(job, bag.memory))[0]


def by_workload(runs: Sequence[Measured]) -> Mapping[str, Sequence[Measured]]:
    found: dict[str, list[Measured]] = {}
    for each in runs:
        found.setdefault(each.workload, []).append(each)
    return found
