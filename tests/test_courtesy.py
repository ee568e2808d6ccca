"""When a leader whose steps fail makes way."""

from __future__ import annotations

from controller.courtesy import Courtesy
from controller.simulation.services.service import denied, throttled


def test_lack_of_rights_is_enough_once() -> None:
    assert Courtesy(30.0).failed(denied(), 0.0)


def test_of_other_failures_it_takes_three_in_a_row() -> None:
    courtesy = Courtesy(30.0)
    assert [courtesy.failed(throttled(), at) for at in (0.0, 5.0, 10.0)] == [False, False, True]


def test_a_step_that_succeeds_ends_the_row() -> None:
    courtesy = Courtesy(30.0)
    for _ in range(5):
        assert not courtesy.failed(throttled(), 0.0)
        assert not courtesy.failed(throttled(), 0.0)
        courtesy.succeeded()


def test_it_makes_way_no_more_often_than_every_ten_leases() -> None:
    courtesy = Courtesy(30.0)
    assert [courtesy.failed(denied(), at) for at in (0.0, 299.0, 300.0)] == [True, False, True]


def test_it_stands_by_for_two_leases() -> None:
    assert Courtesy(30.0).stands_by == 60.0
