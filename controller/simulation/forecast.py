"""What work would cost and how long it would take: the same jobs under several settings of one fleet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from controller.simulation.model.conditions import HOUR, Conditions
from controller.simulation.model.metrics import Metrics, measured
from controller.simulation.model.policy import Leaving
from controller.simulation.model.product import Product, job_of
from controller.simulation.model.run import Run, Sample, Simulation
from controller.simulation.model.workload import Bag, Workload
from controller.simulation.prices import Prices
from runner.errors import BadInput
from runner.instances import InstanceType
from runner.routing import Routes
from runner.settings import (
    FLEET_AGENT,
    FLEET_SUPERVISOR,
    ON_DEMAND,
    SPOT,
    Environment,
    FleetSettings,
    QueueSettings,
    Settings,
)
from runner.units import format_duration, format_size

# Boots, reclaims and who takes what differ from run to run; so several are made, fewer of large work.
RUNS = 5
MOST_TASKS = 100_000

# More reclaims than that within one task's time, on average, and it would be begun over and over.
MOST_RECLAIMS = 3.0

ENVIRONMENT = "simulated"


@dataclass(frozen=True, slots=True)
class Forecast:
    """`metrics`: means over `runs`. `samples`: the fleet's course in the first of them. `price`: of one machine, in
    dollars an hour, the dearest where there are several kinds."""

    market: str
    maximum: int
    price: float
    runs: int
    metrics: Metrics
    samples: Sequence[Sample]


def with_fleet(settings: Settings, kind: InstanceType | None) -> Settings:
    """`settings` as they are, or with one environment of machines of this type, which serves every queue."""
    if kind is None:
        return settings
    environment = Environment(ENVIRONMENT, (kind,))
    queues = (
        settings.fleet.queues
        if settings.fleet
        else {name: QueueSettings(at) for name, at in settings.queues.items()}
    )
    own = {name: QueueSettings(queue.priority, (ENVIRONMENT,)) for name, queue in queues.items()}
    if settings.fleet is not None:
        return replace(
            settings, fleet=replace(settings.fleet, environments={ENVIRONMENT: environment}, queues=own)
        )
    fleet = FleetSettings(ENVIRONMENT, "us-east-1", ENVIRONMENT, {ENVIRONMENT: environment}, own)
    return replace(settings, mode="fleet", fleet=fleet, agent=FLEET_AGENT, supervisor=FLEET_SUPERVISOR)


def forecasts(
    settings: Settings, bags: Sequence[Bag], maxima: Sequence[int], markets: Sequence[str], prices: Prices
) -> Iterator[Forecast]:
    """One for each market and maximum. Of the environments that may run the work, each job's most preferred is taken.
    Raises BadInput."""
    assert settings.fleet is not None
    used = _preferred(settings, bags)
    if SPOT in markets:
        _check_that_tasks_end(bags, prices)
    for market in markets:
        for maximum in maxima:
            own = [_bounded(each, market, maximum) for each in used]
            yield _forecast(_fleet(settings, own), bags, market, maximum, prices)


def _check_that_tasks_end(bags: Sequence[Bag], prices: Prices) -> None:
    longest = max(max(bag.durations) for bag in bags)
    if longest * prices.reclaims > MOST_RECLAIMS * HOUR:
        message = (
            f"a task of {format_duration(longest)} hardly ever ends on a spot machine, of which each is "
            f"reclaimed {prices.reclaims:g} an hour: take on_demand alone"
        )
        raise BadInput(message)


def _forecast(settings: Settings, bags: Sequence[Bag], market: str, maximum: int, prices: Prices) -> Forecast:
    fleet = settings.fleet
    assert fleet is not None
    hourly = {name: prices.hourly(each) for name, each in fleet.environments.items()}
    tasks = sum(len(bag.durations) for bag in bags)
    runs = [
        _run(settings, fleet, bags, prices, seed)
        for seed in range(max(1, min(RUNS, MOST_TASKS // max(1, tasks))))
    ]
    return Forecast(
        market=market,
        maximum=maximum,
        price=max(hourly.values()),
        runs=len(runs),
        metrics=_mean([measured(run, hourly) for run in runs]),
        samples=runs[0].samples,
    )


def _run(settings: Settings, fleet: FleetSettings, bags: Sequence[Bag], prices: Prices, seed: int) -> Run:
    routes = Routes(fleet, settings.agent)
    policy = Product(
        routes, Leaving(settings.agent.idle, settings.agent.confirm), max(1.0, settings.supervisor.interval)
    )
    conditions = Conditions(boot=fleet.boot, hazard=prices.reclaims)
    return Simulation(Workload("", bags), routes, policy, conditions, str(seed), sampled=seed == 0).run()


def _preferred(settings: Settings, bags: Sequence[Bag]) -> Sequence[Environment]:
    routes = Routes.of(settings)
    assert settings.fleet is not None
    names: dict[str, None] = {}
    for bag in bags:
        channel = routes.channel(job_of("x", bag), bag.memory)
        held = routes.holds(channel)
        if bag.vcpus > held.vcpus or bag.memory > held.memory:
            task = f"a task of {bag.vcpus:g} vCPUs and {format_size(bag.memory)}"
            message = f"no environment of queue {bag.queue} holds {task}"
            raise BadInput(message)
        names[routes.environments_of(channel)[0]] = None
    return [settings.fleet.environments[name] for name in names]


def _bounded(environment: Environment, market: str, maximum: int) -> Environment:
    percent = {SPOT: 100, ON_DEMAND: 0}[market]
    return replace(
        environment, market=market, spot_percent=percent, on_demand_base=0, minimum=0, maximum=maximum
    )


def _fleet(settings: Settings, environments: Sequence[Environment]) -> Settings:
    fleet = settings.fleet
    assert fleet is not None
    known: Mapping[str, Environment] = {each.name: each for each in environments}
    queues = {
        name: replace(queue, environments=tuple(each for each in queue.environments if each in known))
        for name, queue in fleet.queues.items()
    }
    served = {name: queue for name, queue in queues.items() if queue.environments}
    return replace(settings, fleet=replace(fleet, environments=known, queues=served))


def _mean(found: Sequence[Metrics]) -> Metrics:
    names = [field.name for field in dataclasses.fields(Metrics)]
    whole = {"launched", "unused", "killed"}
    means = {name: sum(getattr(each, name) for each in found) / len(found) for name in names}
    return Metrics(**{name: round(value) if name in whole else value for name, value in means.items()})
