"""The workloads that policies are measured with, each made anew from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from controller.simulation.model.conditions import HOUR, Conditions, Reclaim, Shortage
from controller.simulation.model.workload import GIB, Bag, Workload
from runner.instances import KNOWN
from runner.settings import ON_DEMAND, SPOT, Environment

MAXIMUM = 100
BOOT = 180.0
# Of tasks whose durations spread like this, one in a hundred takes 33 times as long as the one in the middle.
HEAVY = 1.5

SMALL = Environment("small", (KNOWN["m6i.large"],), ON_DEMAND, spot_percent=0, maximum=MAXIMUM)
SMALL_SPOT = replace(SMALL, market=SPOT, spot_percent=100)
LARGE = Environment("large", (KNOWN["m6i.2xlarge"],), ON_DEMAND, spot_percent=0, maximum=MAXIMUM)


BOOTING = Conditions(boot=BOOT)


@dataclass(frozen=True, slots=True)
class Case:
    """A workload, the machines there may be, and what happens to them."""

    workload: Workload
    environments: Sequence[Environment] = (SMALL,)
    conditions: Conditions = BOOTING


Maker = Callable[[Random], Case]


def bag(count: int, seconds: float) -> Maker:
    return lambda _: Case(_workload(Bag("bag", 0.0, [seconds] * count)))


def heavy_tailed(count: int, mean: float, sigma: float = HEAVY) -> Maker:
    """Lognormal durations."""

    def make(random: Random) -> Case:
        middle = math.log(mean) - sigma**2 / 2
        return Case(
            _workload(Bag("heavy", 0.0, [random.lognormvariate(middle, sigma) for _ in range(count)]))
        )

    return make


def straggler(count: int, seconds: float, longest: float) -> Maker:
    """All but one are short; that one is somewhere among them."""

    def make(random: Random) -> Case:
        durations = [seconds] * (count - 1)
        durations.insert(random.randrange(count), longest)
        return Case(_workload(Bag("straggler", 0.0, durations)))

    return make


def trickle(count: int, apart: float, seconds: float) -> Maker:
    """One task at a time."""

    def make(random: Random) -> Case:
        arrivals = [0.0]
        while len(arrivals) < count:
            arrivals.append(arrivals[-1] + apart * random.uniform(0.8, 1.2))
        return Case(_workload(*(Bag("trickle", at, [seconds]) for at in arrivals)))

    return make


def waves(count: int, tasks: int, seconds: float, gap: float) -> Maker:
    """With a slot for every task, machines that stay would be idle for about `gap` between two of them."""

    def make(random: Random) -> Case:
        arrivals = [0.0]
        while len(arrivals) < count:
            arrivals.append(arrivals[-1] + seconds + gap * random.uniform(0.9, 1.1))
        return Case(_workload(*(Bag("wave", at, [seconds] * tasks) for at in arrivals)))

    return make


def daily(jobs_an_hour: float, tasks: int, seconds: float) -> Maker:
    """A day: jobs come at random, most at noon and hardly any at midnight."""

    def make(random: Random) -> Case:
        bags, at, most = [], 0.0, 2 * jobs_an_hour / HOUR
        while (at := at + random.expovariate(most)) < 24 * HOUR:
            if random.random() < (1 - math.cos(2 * math.pi * at / (24 * HOUR))) / 2:
                count = 1 + int(random.expovariate(1 / tasks))
                mean = random.lognormvariate(math.log(seconds), 0.7)
                bags.append(Bag("daily", at, [mean * random.uniform(0.8, 1.2) for _ in range(count)]))
        first = bags[0].arrival
        return Case(_workload(*(replace(each, arrival=each.arrival - first) for each in bags)))

    return make


def mixed(tasks: int, seconds: float) -> Maker:
    """Jobs of four shapes at once; one of them needs large machines."""

    def make(random: Random) -> Case:
        shapes = ((0.5, 1, 0.4), (1.0, 2, 0.4), (2.0, 4, 0.1), (4.0, 16, 0.1))
        bags = [
            Bag(
                f"shape{at}",
                0.0,
                [seconds * random.uniform(0.5, 1.5) for _ in range(int(tasks * part))],
                vcpus,
                gib * GIB,
            )
            for at, (vcpus, gib, part) in enumerate(shapes)
        ]
        return Case(_workload(*bags), (SMALL, LARGE))

    return make


def reclaimed(count: int, seconds: float, hazard: float) -> Maker:
    """Every spot machine by itself, `hazard` times an hour."""

    def make(_: Random) -> Case:
        conditions = Conditions(boot=BOOT, hazard=hazard)
        return Case(_workload(Bag("bag", 0.0, [seconds] * count)), (SMALL_SPOT,), conditions)

    return make


def reclaimed_at_once(count: int, seconds: float, at: float, short: float) -> Maker:
    """All spot machines at once, and then none for a while."""

    def make(_: Random) -> Case:
        conditions = Conditions(
            boot=BOOT, reclaims=(Reclaim(at, "small"),), shortages=(Shortage("small", at, at + short),)
        )
        return Case(_workload(Bag("bag", 0.0, [seconds] * count)), (SMALL_SPOT,), conditions)

    return make


def short_of_machines(count: int, seconds: float, until: float, most: int) -> Maker:
    """At first only a few machines are to be had."""

    def make(_: Random) -> Case:
        conditions = Conditions(boot=BOOT, shortages=(Shortage("small", 0.0, until, most),))
        return Case(_workload(Bag("bag", 0.0, [seconds] * count)), conditions=conditions)

    return make


def late_counts(tasks: int, seconds: float, lag: float) -> Maker:
    """The queue's counts are late; a second job comes while the first runs."""

    def make(random: Random) -> Case:
        second = random.uniform(200.0, 400.0)
        bags = [Bag("late", at, [seconds] * tasks) for at in (0.0, second)]
        return Case(_workload(*bags), conditions=Conditions(boot=BOOT, count_lag=lag))

    return make


def booting(count: int, seconds: float, boot: float, jitter: float) -> Maker:
    """Machines that come otherwise than the settings say."""
    conditions = Conditions(boot=boot, jitter=jitter)
    return lambda _: Case(_workload(Bag("bag", 0.0, [seconds] * count)), conditions=conditions)


WORKLOADS: Mapping[str, Maker] = {
    **{
        f"{count:,} × {said}": bag(count, seconds)
        for count in (50, 1000, 10000)
        for said, seconds in (("30 s", 30.0), ("300 s", 300.0), ("1 h", 3600.0))
    },
    "heavy-tailed": heavy_tailed(500, 300.0),
    "99 short, 1 long": straggler(100, 60.0, 3600.0),
    "trickle": trickle(50, 700.0, 120.0),
    "waves, gap ≈ boot": waves(6, 100, 120.0, BOOT),
    "waves, gap ≈ 600 s": waves(6, 100, 120.0, 600.0),
    "daily cycle": daily(6.0, 20, 120.0),
    "mixed shapes": mixed(600, 200.0),
    "spot, one by one": reclaimed(1000, 300.0, 1.0),
    "spot, all at once": reclaimed_at_once(1000, 300.0, 600.0, 300.0),
    "no capacity": short_of_machines(1000, 120.0, 900.0, 5),
    "late counts": late_counts(500, 60.0, 60.0),
}

# Drawn once, with other numbers, and looked at only when the rule was as it is.
HELD_OUT: Mapping[str, Maker] = {
    "7 × 45 s": bag(7, 45.0),
    "300 × 90 s": bag(300, 90.0),
    "4,000 × 700 s": bag(4000, 700.0),
    "heavier tail": heavy_tailed(200, 600.0, 2.0),
    "399 short, 1 long": straggler(400, 30.0, 1800.0),
    "waves, gap ≈ 420 s": waves(9, 40, 75.0, 420.0),
    "busier day": daily(15.0, 60, 45.0),
    "mixed, longer": mixed(300, 500.0),
    "spot, rarer": reclaimed(400, 600.0, 0.3),
    "boots ± 40 %": booting(150, 120.0, BOOT, 0.4),
    "boots of 300 s": booting(150, 120.0, 300.0, 0.15),
}


def _workload(*bags: Bag) -> Workload:
    return Workload("", bags)
