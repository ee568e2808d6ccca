"""The bound that policies are measured against: nobody is below it, and in simple cases it is what can be reached."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scaling import baselines
from benchmarks.scaling.bounds import Launch, Part, curve, in_turn, least_cost
from benchmarks.scaling.measure import LEAVING, WORTHS, bound, routes_of, run
from benchmarks.scaling.workloads import HELD_OUT, SMALL, SMALL_SPOT, WORKLOADS, Case, mixed
from controller.simulation.model.conditions import Conditions, Reclaim, Shortage
from controller.simulation.model.groups import NOTICE, draws
from controller.simulation.model.policy import Policy
from controller.simulation.model.product import Product
from controller.simulation.model.run import Simulation
from controller.simulation.model.workload import Bag, Workload
from runner.ports import Capacity
from tests.scaling.plans import planned

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


LIVES = st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=30)


def test_a_machine_more_than_there_may_be_is_asked_for_when_one_goes() -> None:
    lives = [300.0, 100.0, 50.0, 500.0]
    assert [each.asked for each in in_turn([(10.0, life) for life in lives], 2, 0.0)] == [
        0.0,
        0.0,
        100.0,
        150.0,
    ]


@given(LIVES, st.integers(1, 5), st.randoms(use_true_random=False))
def test_nobody_can_ask_for_a_machine_sooner(lives: list[float], at_once: int, random: Random) -> None:
    soonest = in_turn([(10.0, life) for life in lives], at_once, 0.0)
    now, goes = 0.0, list[float]()
    for life, bounded in zip(lives, soonest, strict=True):
        now += random.choice([0.0, random.uniform(0.0, 400.0)])
        if len(goes) == at_once:
            goes.remove(freed := random.choice(goes))
            now = max(now, freed)
        assert now >= bounded.asked
        goes.append(now + life)


def test_a_reclaimed_machine_did_only_whole_tasks_and_the_next_one_boots_first() -> None:
    # Each lives for a boot, one task in each slot, and half of another.
    launches = in_turn([(100.0, 250.0)] * 10, 1, 0.0)
    ends = [end for end, _ in curve(Part([bag(*[100.0] * 6)], MACHINE, 3.6, launches, 1))]
    assert ends == [pytest.approx(250 + 250 + 100 + 100, abs=0.1)] * len(ends)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000))
def test_nobody_is_below_the_bound_where_machines_are_reclaimed_one_by_one(seed: int) -> None:
    random = Random(seed)
    seconds = random.choice([20.0, 150.0, 300.0])
    case = Case(
        Workload("", [bag(*[seconds * random.choice([1.0, 1.0, 1.4])] * random.randint(1, 120))]),
        (replace(SMALL_SPOT, maximum=random.choice([3, 20])),),
        Conditions(boot=180.0, hazard=random.choice([0.3, 1.0, 4.0])),
    )
    everybody_is_above(case, seed)


@pytest.mark.parametrize("name", ["spot, one by one", "spot, rarer"])
def test_no_policy_ends_machines_to_launch_others_in_their_place(name: str) -> None:
    case = {**WORKLOADS, **HELD_OUT}[name](Random(f"0/{name}"))
    (environment,), own = case.environments, routes_of(case)
    launches = in_turn(draws(case.conditions, environment, "0", 200), environment.maximum, NOTICE)
    for policy in everybody(case):
        machines = Simulation(case.workload, own, policy, case.conditions, "0").run().machines["small"]
        assert all(each.launched >= soonest.asked for each, soonest in zip(machines, launches, strict=False))


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
    everybody_is_above(small_case(Random(seed)), seed)


def everybody_is_above(case: Case, seed: int) -> None:
    least = bound(case, seed)
    for policy in everybody(case):
        metrics = run(case, policy, routes_of(case), seed)
        for worth, bounded in zip(WORTHS, least, strict=True):
            assert metrics.cost(worth) >= bounded - 1e-6, policy.name


def everybody(case: Case) -> list[Policy]:
    own = routes_of(case)
    return [
        *baselines.all_of(own, case.workload.bags[-1].arrival, 180.0, 60.0).values(),
        *(Product(routes_of(case, hour_of_waiting=worth), LEAVING) for worth in WORTHS),
    ]


def test_nobody_is_below_it_with_several_shapes_either() -> None:
    case = mixed(120, 100.0)(Random(1))
    least, own = bound(case, 1), routes_of(case)
    assert run(case, Product(own, LEAVING), own, 1).cost(10.0) >= least[1]


# What one who knows all needs at $1, $10 and $100, as a multiple of the bound: so much the bound may be too low.
NEARLY = {
    "heavy-tailed": (1.01, 1.01, 1.01),
    "99 short, 1 long": (1.02, 1.01, 1.01),
    "waves, gap ≈ boot": (1.02, 1.02, 1.01),
    "waves, gap ≈ 600 s": (1.02, 1.01, 1.01),
    "mixed shapes": (1.01, 1.05, 1.11),
    "spot, one by one": (1.01, 1.01, 1.01),
    "spot, all at once": (1.01, 1.01, 1.01),
}


@pytest.mark.parametrize("name", NEARLY)
def test_who_knows_all_comes_near_the_bound(name: str) -> None:
    case = WORKLOADS[name](Random(f"0/{name}"))
    for found, bounded, nearly in zip(planned(case, 0), bound(case, 0), NEARLY[name], strict=True):
        assert bounded - 1e-6 <= found <= nearly * bounded
