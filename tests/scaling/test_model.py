"""The model of a fleet: what it does with machines and tasks, by small cases that can be reckoned by hand."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.simulation.model.conditions import Conditions, Reclaim, Shortage
from tests.scaling.played import PRICE, SPOT, STEADY, bag, fixed, metrics, played, product, routes

# A step sees a job at some moment of the policy's interval of ten seconds, and a machine boots for a hundred.
LATEST = 10.0


def test_a_task_begins_when_a_machine_has_booted() -> None:
    (wait,) = played(fixed(1), bag(60.0)).waits
    assert 100 <= wait <= 100 + LATEST


def test_a_machine_holds_as_many_tasks_as_fit() -> None:
    run = played(fixed(1), bag(*[60.0] * 5))
    first = run.first_started
    assert sorted(wait - first for wait in run.waits) == pytest.approx([0, 0, 60, 60, 120])


def test_no_more_of_a_job_run_at_a_time_than_it_allows() -> None:
    run = played(fixed(2, idle=30.0), bag(*[63.0] * 4, max_parallel=1))
    begun = sorted(wait - run.first_started for wait in run.waits)
    assert all(63 < later - earlier <= 63 + LATEST for earlier, later in pairwise(begun))


def test_a_task_that_is_lost_is_not_replaced_by_a_further_one_of_its_job() -> None:
    run = played(
        fixed(2, then={400.0: 2}),
        bag(*[300.0] * 3, max_parallel=2),
        conditions=Conditions(boot=100.0, jitter=0.0, reclaims=(Reclaim(200.0, "small"),)),
        sampled=True,
    )
    assert max(each.running for each in run.samples) == 2
    assert run.last_ended > 0


def test_memory_counts_as_vcpus_do() -> None:
    run = played(fixed(1), bag(60.0, 60.0, memory=6 * 1024**3))
    assert sorted(wait - run.first_started for wait in run.waits) == pytest.approx([0, 60])


def test_a_machine_is_paid_for_from_its_launch_to_its_end() -> None:
    found = metrics(played(fixed(2), bag(*[60.0] * 4)))
    assert found.machine_hours * 3600 == pytest.approx(2 * (100 + 60))
    assert found.dollars == pytest.approx(PRICE * found.machine_hours)


def test_at_least_a_minute_is_billed() -> None:
    quick = Conditions(boot=5.0, jitter=0.0)
    assert metrics(played(fixed(1), bag(1.0), conditions=quick)).machine_hours * 3600 == pytest.approx(60)


def test_boots_differ_by_the_jitter() -> None:
    spread = Conditions(boot=100.0, jitter=0.2)
    found = [
        machine.ready - machine.launched
        for machine in played(fixed(50), bag(*[9.0] * 200), conditions=spread).machines["small"]
    ]
    assert all(80 <= boot <= 120 for boot in found)
    assert max(found) - min(found) > 20


def test_the_same_seed_is_the_same_run() -> None:
    spread = Conditions(jitter=0.2)
    first, again, other = (
        metrics(played(fixed(5), bag(*[30.0] * 50), conditions=spread, seed=seed)) for seed in ("a", "a", "b")
    )
    assert first == again
    assert first != other


def test_there_are_never_more_machines_than_the_maximum() -> None:
    assert metrics(played(fixed(500), bag(*[30.0] * 50))).launched == STEADY.maximum


def test_machines_that_find_nothing_count_as_unused() -> None:
    found = metrics(played(fixed(5), bag(60.0, 60.0)))
    assert (found.launched, found.unused) == (5, 4)


def test_jobs_take_turns() -> None:
    run = played(fixed(1), bag(*[60.0] * 20, name="long"), bag(*[60.0] * 2, name="short"))
    long, short = run.turnarounds
    assert short < 300 < 600 < long


def test_what_does_not_fit_is_left_to_others() -> None:
    large = bag(100.0, vcpus=2.0, name="large", arrival=150.0)
    for seed in range(5):
        run = played(fixed(2, idle=500.0), bag(500.0), large, seed=str(seed))
        assert run.turnarounds[1] == pytest.approx(100.0)


def test_what_does_not_fit_anywhere_yet_waits_until_it_does() -> None:
    small, large = bag(*[100.0] * 2, vcpus=1.0), bag(100.0, vcpus=2.0, name="large")
    run = played(fixed(1), small, large)
    assert 200 <= run.last_ended - run.first_started <= 200 + 30


# Ends


def test_who_is_idle_for_long_enough_ends_itself() -> None:
    assert metrics(played(fixed(1, idle=77.0), bag(60.0))).idle_tail == pytest.approx(77.0)


def test_with_two_readings_a_machine_stays_for_them() -> None:
    tail = metrics(played(fixed(1, idle=5.0, confirm=60.0), bag(20.0))).idle_tail
    assert 60 - 20 <= tail <= 60 - 20 + LATEST + 6


def test_readings_made_while_it_works_count() -> None:
    assert 5 <= metrics(played(fixed(1, idle=5.0, confirm=60.0), bag(200.0))).idle_tail <= 5 + 6


def test_while_something_waits_nobody_who_looks_leaves() -> None:
    behind = [bag(50.0, vcpus=2.0), bag(*[50.0] * 20, vcpus=2.0, name="more", max_parallel=None)]
    run = played(fixed(2, idle=5.0, confirm=60.0), *behind)
    assert len(run.machines["small"]) == 2


def test_scaling_in_takes_idle_machines_first() -> None:
    run = played(fixed(4, None, scales_in=True, protects=False, then={200.0: 2, 900.0: 0}), bag(*[500.0] * 3))
    assert run.killed == 0


def test_scaling_in_ends_tasks_where_nothing_protects_them() -> None:
    run = played(
        fixed(2, None, scales_in=True, protects=False, then={200.0: 1, 2000.0: 0}), bag(*[500.0] * 4)
    )
    assert run.killed == 2
    assert run.wasted > 0


def test_scaling_in_spares_who_works_where_they_are_protected() -> None:
    run = played(fixed(2, None, scales_in=True, protects=True, then={200.0: 0}), bag(*[500.0] * 4))
    assert run.killed == 0


# What the cloud does


def test_machines_on_demand_are_not_reclaimed() -> None:
    assert (
        metrics(played(fixed(3), bag(*[3000.0] * 6), conditions=Conditions(hazard=100.0))).wasted_hours == 0
    )


def test_what_ran_on_a_reclaimed_machine_runs_again() -> None:
    often = Conditions(boot=100.0, hazard=2.0)
    run = played(product(routes(SPOT)), bag(*[1000.0] * 20), conditions=often, own=routes(SPOT))
    assert run.wasted > 0
    assert len(run.waits) == 20


def test_all_machines_are_reclaimed_at_once() -> None:
    once = Conditions(boot=100.0, jitter=0.0, reclaims=(Reclaim(300.0, "small"),))
    run = played(product(routes(SPOT)), bag(*[600.0] * 4, told=600.0), conditions=once, own=routes(SPOT))
    assert len(run.machines["small"]) == 4
    assert run.wasted == pytest.approx(4 * (300 + 95 - 100), abs=4 * LATEST)


def test_a_task_that_ends_within_the_notice_is_not_lost() -> None:
    once = Conditions(boot=100.0, jitter=0.0, reclaims=(Reclaim(300.0, "small"),))
    run = played(product(routes(SPOT)), bag(*[250.0] * 2, told=250.0), conditions=once, own=routes(SPOT))
    assert (run.wasted, len(run.machines["small"])) == (0, 1)


def test_where_there_is_no_capacity_machines_come_once_there_is() -> None:
    short = Conditions(boot=100.0, jitter=0.0, shortages=(Shortage("small", 0.0, 1000.0, 1),))
    launched = [
        machine.launched
        for machine in played(fixed(3), bag(*[2000.0] * 6), conditions=short).machines["small"]
    ]
    assert launched[0] < LATEST
    assert all(1000 <= at <= 1060 + LATEST for at in launched[1:])


def test_a_policy_sees_that_there_is_none() -> None:
    policy = fixed(3)
    short = Conditions(boot=100.0, jitter=0.0, shortages=(Shortage("small", 0.0, 1000.0, 1),))
    played(policy, bag(*[2000.0] * 6), conditions=short)
    troubled = [sight.now for sight in policy.sights if sight.capacity["small"].trouble is not None]
    assert 0 < min(troubled) < max(troubled) <= 1060 + LATEST


def test_counts_are_as_late_as_they_are() -> None:
    policy = fixed(1)
    played(policy, bag(*[60.0] * 6), conditions=Conditions(boot=100.0, jitter=0.0, count_lag=60.0))
    first = next(sight.now for sight in policy.sights if sight.depth["default.2x8"].in_flight)
    assert 160 <= first <= 160 + 2 * LATEST


# The product's own policy in it


def test_the_products_fleet_comes_and_goes_with_the_work() -> None:
    run = played(product(routes()), bag(*[300.0] * 100, told=300.0))
    found = metrics(run)
    assert (found.killed, found.unused) == (0, 0)
    assert found.idle_tail < 60


def test_time_goes_by_without_work() -> None:
    run = played(product(routes()), bag(60.0), bag(60.0, arrival=100_000.0, name="later"))
    assert run.last_ended == pytest.approx(100_000 + 160, abs=LATEST)


def test_ten_thousand_tasks_on_a_hundred_machines_take_well_under_a_second() -> None:
    began = time.process_time()
    played(product(routes()), bag(*[30.0] * 10_000, told=30.0))
    assert time.process_time() - began < 1.0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.floats(1.0, 2000.0), min_size=1, max_size=30), min_size=1, max_size=4),
    st.floats(0, 3.0),
    st.integers(0, 3),
)
def test_every_task_runs_to_its_end_and_every_machine_goes(
    durations: list[list[float]], hazard: float, seed: int
) -> None:
    bags = [bag(*each, arrival=700.0 * at, name=f"bag{at}") for at, each in enumerate(durations)]
    own = routes(SPOT)
    run = played(
        product(own),
        *bags,
        own=own,
        seed=str(seed),
        conditions=Conditions(boot=100.0, hazard=min(hazard, 1.5)),
    )
    assert len(run.waits) == sum(map(len, durations))
    assert run.killed == 0
    assert all(
        machine.ended is not None and machine.ended >= machine.launched for machine in run.machines["small"]
    )
    assert run.last_ended >= max(each.arrival + 85 + max(each.durations) for each in bags[:1])
