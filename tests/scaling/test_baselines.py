"""What others do: each formula by a few numbers."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.scaling.baselines import Counts, DrainHorizon, Exact, Hpa, Naive, TargetTracking, all_of
from tests.scaling.played import bag, metrics, played, routes

ROUTES = routes()
E = "small"


def counts(visible: int, in_flight: int = 0, **more: Any) -> Counts:
    given: dict[str, Any] = {
        "now": 0.0,
        "desired": 0,
        "in_service": 0,
        "maximum": 100,
        "slots": 2.0,
        "seconds": 60.0,
        **more,
    }
    return Counts(visible=visible, in_flight=in_flight, **given)


def test_exact_demand_is_a_slot_for_each_and_never_less_than_before() -> None:
    exact = Exact(ROUTES, "x", 600.0)
    assert exact.desired(E, counts(10, 5)) == 8
    assert exact.desired(E, counts(10, 5, desired=20)) == 20
    assert exact.desired(E, counts(1000)) == 100


def test_an_autoscaler_goes_up_at_once_and_down_after_its_window() -> None:
    hpa = Hpa(ROUTES, "x", 5.0)
    assert hpa.desired(E, counts(50)) == 10
    assert hpa.desired(E, counts(0, 5, now=30.0, desired=10)) == 10
    assert hpa.desired(E, counts(0, 5, now=301.0, desired=10)) == 1


def test_within_a_tenth_of_its_target_it_does_nothing() -> None:
    assert Hpa(ROUTES, "x", 5.0).desired(E, counts(54, desired=10)) == 10
    assert Hpa(ROUTES, "x", 5.0).desired(E, counts(56, desired=10)) == 12


def test_target_tracking_wants_three_alarms_to_grow() -> None:
    tracking = TargetTracking(ROUTES, 600.0, 60.0)  # 20 messages a machine are acceptable
    assert tracking.desired(E, counts(100)) == 1
    seen = [tracking.desired(E, counts(100, desired=1, in_service=1)) for _ in range(3)]
    assert seen == [1, 1, 5]


def test_and_fifteen_to_shrink() -> None:
    tracking = TargetTracking(ROUTES, 600.0, 60.0)
    seen = [tracking.desired(E, counts(20, desired=10, in_service=10)) for _ in range(15)]
    assert seen == [10] * 14 + [1]


def test_a_drain_horizon_divides_the_work_by_it() -> None:
    assert DrainHorizon(ROUTES, 300.0, 60.0, 60.0).desired(E, counts(100)) == 10
    assert DrainHorizon(ROUTES, 300.0, 60.0, 60.0).desired(E, counts(100, seconds=3600.0)) == 50


def test_who_ignores_what_is_pending_asks_again_and_again() -> None:
    assert Naive(ROUTES).desired(E, counts(10, desired=5)) == 10


@pytest.mark.parametrize("name", list(all_of(ROUTES, 0.0, 100.0, 60.0)))
def test_every_one_of_them_gets_the_work_done(name: str) -> None:
    policy = all_of(ROUTES, 0.0, 100.0, 60.0)[name]
    run = played(policy, bag(*[60.0] * 100, told=60.0), own=ROUTES)
    assert len(run.waits) == 100
    assert all(machine.ended is not None for machine in run.machines["small"])


def test_the_static_maximum_has_all_machines_from_the_first_to_the_last_moment() -> None:
    found = metrics(played(all_of(ROUTES, 0.0, 100.0, 60.0)["static maximum"], bag(*[60.0] * 10), own=ROUTES))
    assert (found.launched, found.idle_tail) == (100, pytest.approx(0.0, abs=10.0))
