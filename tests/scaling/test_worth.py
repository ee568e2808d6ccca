"""How many machines work is worth: the closed form, held against what each number of machines would really cost."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.worth import TAIL, Part, Terms, machines_worth, spares

TERMS = Terms(wait=10.0, machine=0.096, boot=180.0)
MANY = 100_000


def part(tasks: int, seconds: float, slots: int = 2, **more: float) -> Part:
    return Part(tasks, seconds, slots, more.get("width", tasks / slots), int(more.get("running", 0)))


def worth(*parts: Part, there: int = 0, most: int = MANY, terms: Terms = TERMS) -> float:
    return machines_worth(parts, there, most, terms)


def cost(machines: int, work: Part, terms: Terms) -> float:
    """Of so many new machines, in dollars an hour times seconds: boots, tails and what is waited for. Work itself costs
    the same on any number of machines."""
    waves = math.ceil(work.tasks / (work.slots * machines) - 1e-9)
    return terms.machine * machines * (terms.boot + TAIL) + terms.wait * waves * work.seconds


def test_four_times_the_work_is_worth_twice_the_machines() -> None:
    short = 0.01  # so short that waves do not matter
    assert worth(part(400_000, short)) == pytest.approx(2 * worth(part(100_000, short)), rel=0.02)


def test_four_times_the_worth_of_waiting_is_worth_twice_the_machines() -> None:
    work = part(100_000, 0.1)
    dear = Terms(4 * TERMS.wait, TERMS.machine, TERMS.boot)
    assert worth(work, terms=dear) == pytest.approx(2 * worth(work), rel=0.02)


def test_long_tasks_have_a_slot_each_and_no_machine_more() -> None:
    assert worth(part(11, 36_000.0)) == 5.5


def test_a_last_wave_that_is_nearly_empty_is_not_bought_for() -> None:
    cheap = Terms(0.5, 0.096, 180.0)
    found = worth(part(50, 300.0), terms=cheap)
    waves = 25 / found
    assert waves == pytest.approx(round(waves))


def test_no_more_machines_than_may_have_a_task() -> None:
    assert worth(part(1000, 600.0, width=7.0)) == 7.0


def test_machines_that_come_later_are_worth_less_than_those_there() -> None:
    work = part(2000, 30.0)
    alone = worth(work)
    assert worth(work, there=40) < alone


def test_while_those_there_are_done_before_others_could_come_none_is_worth_it() -> None:
    assert worth(part(100, 30.0), there=20) <= 20  # 100 · 30 / 2 / 20: 75 s, and a boot takes 180


def test_of_machines_there_no_more_than_would_be_launched() -> None:
    assert worth(part(4, 1.0), there=50) < 2


def test_what_is_half_done_is_worth_less() -> None:
    waiting, running = part(4000, 60.0), part(4000, 60.0, running=2000)
    assert worth(running, part(1, 1.0), there=5) < worth(waiting, part(1, 1.0), there=5)


def test_where_more_would_be_worth_it_than_can_be_had_it_says_so() -> None:
    assert worth(part(10_000, 300.0), most=50) > 50
    assert worth(part(10_000, 300.0), there=50, most=50) > 50


def test_jobs_together_are_worth_what_their_work_is() -> None:
    halves = worth(part(500, 7.3), part(500, 7.3))
    assert halves == pytest.approx(math.sqrt(3650 * TERMS.launches_a_second))


CHEAP = Terms(wait=1.0, machine=0.096, boot=180.0)


def steady(apart: float, terms: Terms = CHEAP) -> float:
    """A hundred tasks of two minutes: 6,000 s of a machine."""
    return machines_worth([part(100, 120.0)], 0, MANY, terms, apart)


def test_fewer_machines_that_are_busy_until_the_next_job_comes_save_the_boots() -> None:
    assert worth(part(100, 120.0), terms=CHEAP) > 16
    assert steady(720.0) == 7  # 6000 / 720, and some slack


def test_where_waiting_is_dear_they_are_launched_anew_for_each_job() -> None:
    assert steady(720.0, TERMS) == worth(part(100, 120.0))


@pytest.mark.parametrize("apart", [0.0, 1.0, 60.0, 500.0, 1500.0, 80_000.0, math.inf])
def test_jobs_that_come_much_sooner_or_later_than_machines_go_change_nothing(apart: float) -> None:
    assert steady(apart) == worth(part(100, 120.0), terms=CHEAP)


def test_of_many_machines_more_are_launched_than_have_work_where_waiting_is_very_dear() -> None:
    assert spares(25, Terms(100.0, 0.096, 180.0)) == 8
    assert spares(25, TERMS) == 0


@given(st.integers(0, 1000), st.floats(0.1, 1e6), st.floats(0.001, 10.0), st.floats(0.0, 1000.0))
def test_spares_are_never_many(machines: int, wait: float, price: float, boot: float) -> None:
    assert 0 <= spares(machines, Terms(wait, price, boot)) <= machines / 3


TASKS, SECONDS, WAIT = st.integers(1, 3000), st.floats(1.0, 4000.0), st.floats(0.5, 200.0)


@given(TASKS, SECONDS, WAIT, st.integers(1, 8))
def test_no_number_of_machines_costs_much_less(tasks: int, seconds: float, wait: float, slots: int) -> None:
    work, terms = part(tasks, seconds, slots), Terms(wait, 0.1, 180.0)
    found = math.ceil(worth(work, terms=terms) - 1e-6)
    least = min(cost(machines, work, terms) for machines in range(1, math.ceil(tasks / slots) + 1))
    # Half of it is reckoned as if there were no waves; that is all it may cost.
    assert cost(found, work, terms) <= 1.25 * least + terms.machine * (terms.boot + TAIL)


@given(TASKS, SECONDS, WAIT, st.integers(1, 8))
def test_once_they_are_there_no_more_are_worth_it(
    tasks: int, seconds: float, wait: float, slots: int
) -> None:
    work, terms = part(tasks, seconds, slots), Terms(wait, 0.1, 180.0)
    there = math.ceil(worth(work, terms=terms) - 1e-6)
    assert math.ceil(worth(work, there=there, terms=terms) - 1e-6) <= there


@given(st.lists(st.tuples(TASKS, SECONDS), min_size=2, max_size=5), WAIT)
def test_nor_for_several_jobs(jobs: list[tuple[int, float]], wait: float) -> None:
    parts, terms = [part(*job) for job in jobs], Terms(wait, 0.1, 180.0)
    there = math.ceil(worth(*parts, terms=terms) - 1e-6)
    assert math.ceil(worth(*parts, there=there, terms=terms) - 1e-6) <= there


@given(TASKS, SECONDS, WAIT, st.integers(0, 300), st.integers(1, 300))
def test_never_more_than_can_be_busy(tasks: int, seconds: float, wait: float, there: int, most: int) -> None:
    assume(there <= most)
    work = part(tasks, seconds)
    found = worth(work, there=there, most=most, terms=Terms(wait, 0.1, 180.0))
    assert 0 < found <= work.width
