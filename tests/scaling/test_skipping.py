"""Steps at which nothing can come of looking are left out, and nothing differs by that."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pytest

from controller.simulation.model.conditions import Conditions, Shortage
from controller.simulation.model.policy import Leaving, Orders, Sight
from controller.simulation.model.product import Product
from controller.simulation.model.run import Run
from controller.simulation.model.workload import Bag
from runner.routing import Routes
from tests.scaling.played import SPOT, bag, metrics, played, routes

LEAVING = Leaving(15.0, 60.0)


class Counting(Product):
    """How often it is asked. `restless`: it is asked at every step."""

    def __init__(self, own: Routes, *, restless: bool) -> None:
        super().__init__(own, LEAVING)
        self.asked = 0
        self._restless = restless

    def step(self, sight: Sight) -> Orders:
        self.asked += 1
        orders = super().step(sight)
        return replace(orders, until=0.0) if self._restless else orders


def some_bags(random: Random) -> list[Bag]:
    bags, at = [], 0.0
    for number in range(random.randint(1, 4)):
        seconds = random.choice([20.0, 150.0, 900.0])
        durations = [seconds * random.uniform(0.2, 4) for _ in range(random.randint(1, 60))]
        bags.append(bag(*durations, arrival=at, name=f"bag{number}", told=random.choice([None, seconds])))
        at += random.uniform(1, 4000)
    return bags


def some_conditions(random: Random) -> Conditions:
    short = Shortage("small", 0.0, random.uniform(50, 3000), random.randint(0, 4))
    return Conditions(
        boot=100.0,
        jitter=random.choice([0.0, 0.15]),
        hazard=random.choice([0.0, 1.0]),
        shortages=(short,) if random.random() < 0.3 else (),
        count_lag=random.choice([0.0, 60.0]),
    )


def told_of(run: Run) -> tuple[object, ...]:
    return metrics(run), run.samples, run.waits, run.turnarounds


@pytest.mark.parametrize("seed", range(12))
def test_a_run_is_the_same_whether_every_step_is_made_or_not(seed: int) -> None:
    random, own = Random(seed), routes(SPOT, hour_of_waiting=[1.0, 10.0, 100.0][seed % 3])
    bags, conditions = some_bags(random), some_conditions(random)
    skipping, patient = Counting(own, restless=False), Counting(own, restless=True)
    found, expected = (
        played(each, *bags, conditions=conditions, own=own, seed=str(seed), sampled=True)
        for each in (skipping, patient)
    )
    assert told_of(found) == told_of(expected)
    assert skipping.asked < patient.asked or conditions.count_lag


def test_a_job_of_many_hours_takes_no_more_steps_than_events() -> None:
    policy = Counting(routes(), restless=False)
    played(policy, bag(*[36_000.0] * 20, told=36_000.0))
    assert policy.asked < 100  # at one every five seconds they would be 7,200


def test_two_hundred_hours_of_a_thousand_tasks_take_well_under_a_second() -> None:
    began = time.process_time()
    small = routes(replace(SPOT, maximum=5))
    played(Counting(small, restless=False), bag(*[7200.0] * 1000), own=small)
    assert time.process_time() - began < 1.0


def test_a_thousand_jobs_behind_a_full_fleet_are_not_looked_at_one_by_one() -> None:
    small = routes(replace(SPOT, maximum=2))
    jobs = [bag(600.0, name=f"bag{number}") for number in range(1000)]
    began = time.process_time()
    found = metrics(played(Counting(small, restless=False), *jobs, own=small, sampled=True))
    assert time.process_time() - began < 1.0
    assert 250 * 600 + 100 < found.makespan < 250 * 600 + 120
    assert found.launched == 2
