"""The bound that policies are measured against: nobody is below it, and in simple cases it is what can be reached."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scaling import baselines
from benchmarks.scaling.bounds import Launch, Part, curve, least_cost
from benchmarks.scaling.measure import LEAVING, WORTHS, bound, routes_of, run
from benchmarks.scaling.workloads import SMALL, SMALL_SPOT, Case, mixed
from controller.simulation.model.conditions import Conditions, Reclaim, Shortage
from controller.simulation.model.product import Product
from controller.simulation.model.workload import Bag, Workload
from runner.ports import Capacity

MACHINE = Capacity(2, 8 * 1024**3)


def part(*bags: Bag, machines: int = 10, boot: float = 100.0, price: float = 3.6) -> Part:
    """At 3.6 dollars an hour a machine costs a thousandth of a dollar a second."""
    return Part(bags, MACHINE, price, [Launch(0.0, boot)] * machines, machines)


def bag(*durations: float, arrival: float = 0.0) -> Bag:
    return Bag("b", arrival, durations)


def test_equal_tasks_at_once_cost_what_the_best_number_of_machines_does() -> None:
    found = least_cost([curve(part(bag(*[50.0] * 20)))], 36.0)  # a second of waiting costs ten of a machine
    by_hand = min(0.001 * (100 * k + 10 * 50) + 0.01 * (100 + 50 * -(-10 // k)) for k in range(1, 11))
    assert found == pytest.approx(by_hand, abs=0.001)


def test_where_waiting_is_worth_nothing_one_machine_does_it_all() -> None:
    assert least_cost([curve(part(bag(*[50.0] * 20)))], 0.0) == pytest.approx(0.001 * (100 + 500))


def test_the_longest_task_keeps_a_machine() -> None:
    assert least_cost([curve(part(bag(1000.0, 10.0)))], 0.0) == pytest.approx(0.001 * (100 + 1000))


def test_no_task_ends_before_it_has_come_and_run() -> None:
    ends = [end for end, _ in curve(part(bag(50.0), bag(50.0, arrival=5000.0)))]
    assert min(ends) == pytest.approx(5050.0, abs=0.1)


def test_what_comes_late_is_done_late_however_idle_the_machines_were() -> None:
    ends = [end for end, _ in curve(part(bag(50.0), bag(*[100.0] * 40, arrival=5000.0), machines=2))]
    assert min(ends) == pytest.approx(5000 + 1000, abs=0.1)


def small_case(random: Random) -> Case:
    """Few tasks, all that can happen to machines."""
    bags, at = [], 0.0
    for number in range(random.randint(1, 3)):
        count, seconds = random.randint(1, 60), random.choice([20.0, 150.0, 900.0])
        equal = random.random() < 0.5
        durations = [seconds if equal else seconds * random.uniform(0.2, 3) for _ in range(count)]
        bags.append(Bag(f"bag{number}", at, durations))
        at += random.uniform(10, 2000)
    conditions = Conditions(boot=180.0, jitter=random.choice([0.0, 0.15]), hazard=random.choice([0.0, 1.0]))
    if random.random() < 0.3:
        conditions = replace(
            conditions, shortages=(Shortage("small", 0.0, random.uniform(50, 900), random.randint(0, 4)),)
        )
    elif random.random() < 0.3:
        at = random.uniform(200, 900)
        conditions = replace(
            conditions, reclaims=(Reclaim(at, "small"),), shortages=(Shortage("small", at, at + 200),)
        )
    environment = replace(random.choice([SMALL, SMALL_SPOT]), maximum=random.choice([3, 20]))
    return Case(Workload("", bags), (environment,), conditions)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000))
def test_nobody_is_below_the_bound(seed: int) -> None:
    case = small_case(Random(seed))
    least = bound(case, seed)
    own = routes_of(case)
    policies = [
        *baselines.all_of(own, case.workload.bags[-1].arrival, 180.0, 60.0).values(),
        Product(own, LEAVING),
    ]
    for policy in policies:
        metrics = run(case, policy, own, seed)
        for worth, bounded in zip(WORTHS, least, strict=True):
            assert metrics.cost(worth) >= bounded - 1e-6, policy.name


def test_nobody_is_below_it_with_several_shapes_either() -> None:
    case = mixed(120, 100.0)(Random(1))
    least, own = bound(case, 1), routes_of(case)
    assert run(case, Product(own, LEAVING), own, 1).cost(10.0) >= least[1]
