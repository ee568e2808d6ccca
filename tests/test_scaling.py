"""How many machines the work deserves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.demand import Load
from controller.model import Decision, EnvironmentCapacity, Trouble
from controller.scaling import Picture, decide, local, retry_at
from controller.sizing import machines_for
from runner.ports import Capacity
from runner.records import Backlog
from runner.routing import LOCAL, Routes
from runner.settings import Settings
from tests.fleets import AGENT, GIB, environment, fleet_of, on_demand

NOW = 10_000.0
ICE = "Could not launch Spot Instances. InsufficientInstanceCapacity"
# Two slots on each machine of them; twenty such machines at the most.
SPOT = environment("spot", "m6i.large", maximum=20)
STEADY = on_demand("steady", "m6i.large", maximum=20)
LARGE = environment("large", "r6i.4xlarge", maximum=4)
SMALL_CHANNEL, LARGE_CHANNEL = "default.2x8", "default.16x128"


def load_of(tasks: int, seconds: float | None = 3600.0, channel: str = SMALL_CHANNEL, **more: Any) -> Load:
    given: dict[str, Any] = {"parallel": tasks, "sent": tasks, "vcpus": 1.0, "memory": GIB, **more}
    return Load(channel, tasks, seconds=seconds, **given)


def there(name: str, desired: int = 0, **more: Any) -> EnvironmentCapacity:
    given: dict[str, Any] = {"running": desired, "pending": 0, "minimum": 0, "maximum": 20, **more}
    return EnvironmentCapacity(name, desired, **given)


def fresh(routes: Routes, as_of: float = NOW, **more: Any) -> Mapping[str, Backlog]:
    return {channel: replace(Backlog(0, 0, 0, as_of), **more) for channel in routes.channels}


class Scene:
    """A fleet of these environments; those that are not spoken of have no machine."""

    def __init__(self, *environments: Any, **fleet: Any) -> None:
        self.routes = Routes(fleet_of(*environments, **fleet), AGENT)
        self.maximum = {each.name: each.maximum for each in environments}

    def picture(self, *loads: Load, capacity: tuple[EnvironmentCapacity, ...] = (), **more: Any) -> Picture:
        known = {name: there(name, maximum=most) for name, most in self.maximum.items()}
        known |= {each.name: each for each in capacity}
        given: dict[str, Any] = {"backlog": fresh(self.routes), "now": NOW, **more}
        return Picture(loads, self.routes, known, **given)

    def decided(self, *loads: Load, **more: Any) -> Mapping[str, Decision]:
        return decide(self.picture(*loads, **more))

    def desired(self, *loads: Load, **more: Any) -> Mapping[str, int]:
        return {name: decision.desired for name, decision in self.decided(*loads, **more).items()}


# One machine, as before there were fleets


def test_on_one_machine_there_are_as_many_agents_as_there_may_be_while_there_is_work() -> None:
    assert local(7, there(LOCAL, 1, maximum=3)).desired == 3
    assert local(2, there(LOCAL, 1, maximum=3)).desired == 2
    assert local(0, there(LOCAL, 1, maximum=3)) == Decision(1, "nothing to do")


def test_on_one_machine_the_demand_of_all_queues_counts() -> None:
    routes = Routes.of(Settings(queues={"a": 0, "b": 0}))
    capacity = {LOCAL: there(LOCAL, maximum=9)}
    loads = [load_of(2, channel="a"), load_of(3, channel="b")]
    assert decide(Picture(loads, routes, capacity, {}, NOW))[LOCAL].desired == 5


# How many a load needs


def test_long_tasks_have_a_slot_each() -> None:
    assert Scene(SPOT).desired(load_of(11)) == {"spot": 6}


def test_of_short_tasks_a_slot_does_many() -> None:
    # V = 1000 · 5 s / 2, a launch costs 0.096 $/h · (180 + 30) s: √(2500 · 1 / 20.16), of which 45 waves make 11.1
    assert Scene(SPOT, hour_of_waiting=1.0).desired(load_of(1000, seconds=5)) == {"spot": 12}


MANY = environment("many", "m6i.large", maximum=40)


def test_where_waiting_is_very_dear_a_few_more_are_launched_than_have_work() -> None:
    decision = Scene(MANY, hour_of_waiting=100.0).decided(load_of(50, seconds=30))["many"]
    assert decision.desired == 33
    assert "8 more than have work" in decision.reason


def test_once_machines_are_there_or_on_their_way_no_more_of_these_are_launched() -> None:
    scene, load = Scene(MANY, hour_of_waiting=100.0), load_of(50, seconds=600)
    assert scene.desired(load, capacity=(there("many", 33, maximum=40),)) == {"many": 33}
    assert scene.desired(load, capacity=(there("many", 10, maximum=40),)) == {"many": 25}


def test_nor_beyond_the_maximum_or_the_ceiling() -> None:
    load, few = load_of(50, seconds=30), environment("many", "m6i.large", maximum=27)
    assert Scene(few, hour_of_waiting=100.0).desired(load) == {"many": 27}
    assert Scene(MANY, hour_of_waiting=100.0, ceiling=26 * 0.096 + 0.01).desired(load) == {"many": 26}


def test_jobs_that_come_at_intervals_have_fewer_machines_that_stay() -> None:
    scene, load = Scene(MANY, hour_of_waiting=1.0), load_of(100, seconds=120)
    assert scene.desired(replace(load, apart=720.0)) == {"many": 7}
    assert scene.desired(load)["many"] > 16


def test_the_shape_of_the_tasks_decides_how_many_a_machine_holds() -> None:
    assert Scene(SPOT).desired(load_of(11, memory=4 * GIB)) == {"spot": 11}


def test_four_times_the_worth_of_waiting_makes_twice_the_machines() -> None:
    counts = [
        Scene(SPOT, hour_of_waiting=dollars).desired(load_of(1000, seconds=5))["spot"]
        for dollars in (0.05, 0.2, 0.8)
    ]
    assert counts == [3, 5, 10]


def test_a_single_short_task_has_a_machine() -> None:
    assert Scene(SPOT).desired(load_of(1, seconds=0.0)) == {"spot": 1}


def test_many_small_loads_share_machines() -> None:
    loads = [load_of(1, seconds=1) for _ in range(30)]
    assert Scene(SPOT).desired(*loads) == {"spot": 3}
    assert Scene(SPOT, hour_of_waiting=0.5).desired(*loads) == {"spot": 1}


def test_no_more_machines_than_the_job_may_have_tasks_at_a_time() -> None:
    assert Scene(SPOT).desired(load_of(100, parallel=3)) == {"spot": 2}


def test_while_nobody_knows_how_long_tasks_take_a_few_have_a_slot_each() -> None:
    assert Scene(SPOT).desired(load_of(38, seconds=None)) == {"spot": 19}


def test_while_nobody_knows_how_long_tasks_take_many_do_not() -> None:
    machine = Capacity(2, 8 * GIB)
    assert machines_for(load_of(1000, seconds=None), machine, 300.0) == 100.0  # taken for 60 s each


def test_the_longer_the_first_tasks_run_the_more_machines_there_are() -> None:
    machine, load = Capacity(2, 8 * GIB), load_of(1000, seconds=None)
    assert machines_for(replace(load, at_least=75.0), machine, 300.0) == 250.0  # as long again
    assert machines_for(replace(load, at_least=9999.0), machine, 300.0) == 500.0


def test_a_slow_tail_that_the_mean_tells_nothing_of_gets_machines() -> None:
    tail, one = load_of(500, seconds=1.0, running=2), there("spot", 1)
    assert Scene(SPOT).desired(tail, capacity=(one,)) == {"spot": 6}
    assert Scene(SPOT).desired(replace(tail, at_least=100.0), capacity=(one,)) == {"spot": 20}


# What there is


def test_machines_that_were_asked_for_are_not_asked_for_again() -> None:
    coming = there("spot", 6, running=0, pending=2)
    assert Scene(SPOT).desired(load_of(11), capacity=(coming,)) == {"spot": 6}


def test_nobody_is_scaled_in() -> None:
    assert Scene(SPOT).desired(capacity=(there("spot", 7),)) == {"spot": 7}
    assert Scene(SPOT).desired(load_of(1), capacity=(there("spot", 7),)) == {"spot": 7}


def test_a_machine_that_is_about_to_leave_does_not_count() -> None:
    scene, running = Scene(SPOT), there("spot", 6)
    assert scene.desired(load_of(12), capacity=(running,), leaving={"spot": 2}) == {"spot": 8}


def test_no_machine_is_asked_for_while_nothing_waits() -> None:
    mixed = Scene(environment("spot", "m6i.large", "m6i.xlarge"))
    running = load_of(11, running=11)  # of which four fit on the larger ones
    assert mixed.desired(running, capacity=(there("spot", 3),)) == {"spot": 3}
    assert mixed.desired(running, capacity=(there("spot", 3),), leaving={"spot": 1}) == {"spot": 3}


def test_for_what_waits_beside_what_runs_machines_are_asked_for() -> None:
    assert Scene(SPOT).desired(load_of(16, running=10), capacity=(there("spot", 3),)) == {"spot": 6}


def test_machines_that_are_busy_are_no_room_for_others_of_whatever_priority() -> None:
    scene = Scene(SPOT, queues={"high": ["spot"], "low": ["spot"]})
    busy = load_of(20, channel="low.2x8", running=20)
    assert scene.desired(busy, load_of(6, channel="high.2x8"), capacity=(there("spot", 10),)) == {"spot": 13}


def test_for_tasks_that_wait_for_their_next_try_nothing_is_asked_for() -> None:
    decision = Scene(SPOT).decided(load_of(3, hidden=3))["spot"]
    assert decision == Decision(0, "nothing to do; 3 tasks of default.2x8 waiting for another try")


def test_there_are_never_more_than_the_maximum_those_that_leave_included() -> None:
    full = there("spot", 20)
    assert Scene(SPOT).desired(load_of(100), capacity=(full,), leaving={"spot": 5}) == {"spot": 20}


def test_there_are_never_fewer_than_the_minimum() -> None:
    assert Scene(SPOT).desired(capacity=(there("spot", 0, minimum=2),)) == {"spot": 2}


# Several environments


def test_the_first_environment_is_filled_before_the_next() -> None:
    assert Scene(SPOT, STEADY).desired(load_of(50)) == {"spot": 20, "steady": 5}


def test_machines_there_are_come_before_more_of_a_preferred_environment() -> None:
    assert Scene(SPOT, STEADY).desired(load_of(10), capacity=(there("steady", 5),)) == {
        "spot": 0,
        "steady": 5,
    }


def test_the_lane_on_demand_is_for_machines_on_demand() -> None:
    lane = load_of(4, channel=f"{SMALL_CHANNEL}.od")
    assert Scene(SPOT, STEADY).desired(lane) == {"spot": 0, "steady": 2}


def test_large_tasks_ask_for_large_machines_and_small_ones_for_small() -> None:
    big = load_of(3, channel=LARGE_CHANNEL, memory=50 * GIB)
    assert Scene(SPOT, LARGE).desired(load_of(4), big) == {"spot": 2, "large": 2}


def test_a_machine_that_serves_two_queues_counts_once() -> None:
    scene = Scene(SPOT, queues={"one": ["spot"], "two": ["spot"]})
    loads = [load_of(4, channel="one.2x8"), load_of(4, channel="two.2x8")]
    assert scene.desired(*loads, capacity=(there("spot", 2),)) == {"spot": 4}


def test_of_two_queues_the_one_of_higher_priority_has_the_last_machine() -> None:
    scene = Scene(environment("spot", "m6i.large", maximum=2), queues={"high": ["spot"], "low": ["spot"]})
    capacity = (there("spot", maximum=2),)
    reason = scene.decided(load_of(9, channel="low.2x8"), load_of(4, channel="high.2x8"), capacity=capacity)[
        "spot"
    ].reason
    assert "4 tasks of high.2x8" in reason
    assert "low.2x8" not in reason


# What is in the way


def without_capacity(
    name: str, desired: int, running: int, *, since: float, last: float
) -> EnvironmentCapacity:
    return there(name, desired, running=running, trouble=Trouble(ICE, since, last))


def test_an_environment_without_capacity_is_left_alone_and_the_next_one_used() -> None:
    failing = without_capacity("spot", 8, 3, since=NOW - 60, last=NOW - 60)
    assert Scene(SPOT, STEADY).desired(load_of(20), capacity=(failing,)) == {"spot": 3, "steady": 7}


def test_after_a_while_it_is_tried_again() -> None:
    failed = without_capacity("spot", 3, 3, since=NOW - 301, last=NOW - 301)
    assert Scene(SPOT, STEADY).desired(load_of(20), capacity=(failed,)) == {"spot": 10, "steady": 0}


def test_machines_that_were_asked_for_in_vain_are_not_taken_for_coming_once_they_may_be_had_again() -> None:
    failed = without_capacity("spot", 8, 3, since=NOW - 301, last=NOW - 301)
    decision = Scene(SPOT).decided(load_of(20), capacity=(failed,))["spot"]
    assert decision == Decision(10, "10 machines for 20 tasks of default.2x8 (2 at a time, about 1h each)")


def test_after_the_last_task_a_starved_group_wants_its_minimum() -> None:
    starved = there("spot", 8, running=0, minimum=1, trouble=Trouble(ICE, NOW, NOW))
    assert Scene(SPOT).desired(capacity=(starved,)) == {"spot": 1}


def test_what_was_asked_for_in_vain_is_asked_for_still_where_there_is_nowhere_else_to_turn_to() -> None:
    starved = without_capacity("spot", 8, 3, since=NOW - 60, last=NOW - 60)
    assert Scene(SPOT).desired(load_of(16), capacity=(starved,)) == {"spot": 8}
    assert Scene(SPOT).desired(load_of(8), capacity=(starved,)) == {"spot": 4}


def test_what_is_hoped_for_keeps_to_the_ceiling() -> None:
    starved = without_capacity("spot", 8, 3, since=NOW - 60, last=NOW - 60)
    assert Scene(SPOT, ceiling=0.5).desired(load_of(20), capacity=(starved,)) == {"spot": 5}


def test_only_what_was_asked_for_in_vain_is_taken_back() -> None:
    launching = there("spot", 8, running=2, pending=3, trouble=Trouble(ICE, NOW, NOW))
    assert Scene(SPOT).desired(capacity=(launching,)) == {"spot": 5}


def test_what_is_not_to_be_had_takes_nothing_of_the_ceiling() -> None:
    starved = without_capacity("spot", 10, 0, since=NOW, last=NOW)
    scene = Scene(SPOT, STEADY, ceiling=1.0)  # 0.096 dollars an hour each
    assert scene.desired(load_of(100), capacity=(starved,)) == {"spot": 0, "steady": 10}


def test_what_was_asked_for_once_more_counts_once_against_the_ceiling() -> None:
    asked = without_capacity("spot", 10, 0, since=NOW - 400, last=NOW - 400)
    scene = Scene(SPOT, STEADY, ceiling=1.0)
    assert scene.desired(load_of(100), capacity=(asked,)) == {"spot": 10, "steady": 0}


def test_the_while_grows_from_five_to_thirty_minutes() -> None:
    assert [retry_at(Trouble("x", 0.0, last)) - last for last in (0.0, 200.0, 600.0, 9000.0)] == [
        300.0,
        300.0,
        600.0,
        1800.0,
    ]


def test_where_there_is_no_capacity_anywhere_nothing_is_asked_for() -> None:
    failing = without_capacity("spot", 3, 3, since=NOW, last=NOW)
    decision = Scene(SPOT).decided(load_of(20), capacity=(failing,))["spot"]
    assert decision.desired == 3
    assert f"no more machines to be had, looked at again in 5m: {ICE}" in decision.reason


def test_the_ceiling_bounds_what_all_environments_cost_together() -> None:
    scene = Scene(SPOT, STEADY, LARGE, ceiling=1.0)  # 0.096 dollars an hour for a small machine
    decisions = scene.decided(load_of(100), capacity=(there("steady", 2),))
    assert {name: each.desired for name, each in decisions.items()} == {"spot": 8, "steady": 2, "large": 0}
    assert "another would cost more than the ceiling of $1 an hour" in decisions["spot"].reason


def test_machines_that_run_already_may_cost_more_than_the_ceiling() -> None:
    assert Scene(SPOT, ceiling=0.1).desired(load_of(100), capacity=(there("spot", 5),)) == {"spot": 5}


def test_a_queue_that_is_full_in_flight_asks_for_no_more() -> None:
    scene = Scene(SPOT)
    clogged = fresh(scene.routes, visible=500, in_flight=119_900)
    decision = scene.decided(load_of(500), backlog=clogged, capacity=(there("spot", 2),))["spot"]
    assert decision.desired == 2
    assert "full in flight" in decision.reason


# What cannot be seen


def test_counts_that_are_old_decide_nothing() -> None:
    scene = Scene(SPOT)
    old = fresh(scene.routes, as_of=NOW - 121)
    decision = scene.decided(load_of(100), backlog=old, capacity=(there("spot", 3),))["spot"]
    assert decision == Decision(3, "held: the depth of default.2x8 was last seen 2m1s ago")


def test_counts_that_are_missing_decide_nothing() -> None:
    decision = Scene(SPOT).decided(load_of(100), backlog={}, capacity=(there("spot", 3),))["spot"]
    assert decision == Decision(3, "held: the depth of default.2x8 is not known")


# Reasons


def test_a_decision_says_what_the_machines_are_for() -> None:
    assert Scene(SPOT).decided(load_of(11, seconds=7200))["spot"].reason == (
        "6 machines for 11 tasks of default.2x8 (2 at a time, about 2h each)"
    )


def test_loads_of_one_channel_are_told_as_one() -> None:
    loads = [load_of(2), load_of(3, seconds=60), load_of(3, seconds=60, running=1)]
    assert Scene(SPOT).decided(*loads, capacity=(there("spot", 1),))["spot"].reason == (
        "2 machines for 8 tasks of default.2x8 (2 at a time, about 1m to 1h each)"
    )


def test_a_decision_says_that_tasks_take_longer_than_they_did() -> None:
    tail = load_of(4, seconds=1.0, at_least=600.0)
    assert "about 1s each, some longer than 10m" in Scene(SPOT).decided(tail)["spot"].reason


def test_a_decision_says_when_there_is_no_more_to_be_had() -> None:
    assert "at its maximum of 20" in Scene(SPOT).decided(load_of(100))["spot"].reason


def test_an_environment_without_work_says_so() -> None:
    assert Scene(SPOT, STEADY).decided(load_of(1))["steady"].reason == "nothing to do"


COUNT = st.integers(0, 30)
LOADS = st.lists(
    st.builds(
        load_of,
        st.integers(1, 5000),
        seconds=st.none() | st.floats(0, 10_000),
        channel=st.sampled_from([SMALL_CHANNEL, LARGE_CHANNEL, f"{SMALL_CHANNEL}.od"]),
        vcpus=st.floats(0.1, 16),
        at_least=st.floats(0, 10_000),
        running=st.integers(0, 50),
        hidden=st.integers(0, 50),
    ),
    max_size=6,
)


@given(LOADS, COUNT, COUNT, COUNT, st.sampled_from([None, 0.0, 400.0]), st.none() | st.floats(0.01, 30))
def test_whatever_is_asked_the_bounds_hold(
    loads: list[Load], spot: int, running: int, leaving: int, failed: float | None, ceiling: float | None
) -> None:
    scene = Scene(SPOT, STEADY, LARGE, ceiling=ceiling)
    trouble = None if failed is None else Trouble(ICE, NOW - failed, NOW - failed)
    running = spot if trouble is None else min(spot, running)
    capacity = there("spot", spot, running=running, trouble=trouble)
    picture = scene.picture(*loads, capacity=(capacity,), leaving={"spot": min(leaving, running)})
    decisions = decide(picture)
    for name, decision in decisions.items():
        before = picture.capacity[name]
        assert decision.desired >= before.running
        assert decision.desired <= max(before.desired, before.maximum)
    if failed == 0:
        assert running <= decisions["spot"].desired <= max(running, spot)
    else:
        assert decisions["spot"].desired >= spot
    prices = {"spot": 0.096, "steady": 0.096, "large": 1.008}
    spent = sum(prices[name] * decision.desired for name, decision in decisions.items())
    if ceiling is not None:
        assert spent <= max(ceiling, prices["spot"] * spot) + 1e-6


@given(LOADS, COUNT)
def test_where_nothing_waits_nothing_is_asked_for(loads: list[Load], spot: int) -> None:
    busy = [replace(load, running=load.tasks) for load in loads]
    assert Scene(SPOT, STEADY, LARGE).desired(*busy, capacity=(there("spot", spot),)) == {
        "spot": spot,
        "steady": 0,
        "large": 0,
    }


@given(LOADS)
def test_deciding_again_once_the_machines_are_there_asks_for_no_more(loads: list[Load]) -> None:
    scene = Scene(SPOT, STEADY, LARGE)
    loads = [replace(load, running=0) for load in loads]
    first = scene.desired(*loads)
    arrived = tuple(there(name, count, maximum=scene.maximum[name]) for name, count in first.items())
    assert scene.desired(*loads, capacity=arrived) == first
