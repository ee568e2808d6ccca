"""How fast a job goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.output import speed
from controller.progress import FEWEST, WINDOW, Pace, overall_rate, time_left
from runner.array import Array
from runner.model import Job
from runner.records import Counts, JobRecord

JOB = Job("j", "j", ("x",), Array.of_size(100))
RUNNING = JobRecord(JOB, Counts(runnable=50, succeeded=50), released_at=0.0, first_started_at=100.0)
ENDED = replace(RUNNING, counts=Counts(succeeded=100), last_finished_at=150.0)


def pace_of(*samples: tuple[float, int]) -> Pace:
    pace = Pace()
    for at, finished in samples:
        pace.observe(at, finished)
    return pace


def test_nothing_is_said_of_the_speed_before_a_task_finished() -> None:
    assert pace_of((0, 0), (10, 0)).rate is None


def test_what_had_finished_before_we_looked_does_not_count() -> None:
    assert pace_of((0, 1000), (10, 1010)).rate == pytest.approx(1.0)


def test_the_rate_falls_while_nothing_finishes() -> None:
    assert pace_of((0, 0), (1, 10), (10, 10)).rate == pytest.approx(1.0)


def test_old_speed_is_forgotten() -> None:
    fast = [(float(second), 1000 * second) for second in range(10)]
    slow = [(10.0 + second, 9000 + second) for second in range(200)]
    assert pace_of(*fast, *slow).rate == pytest.approx(1.0, rel=0.1)


def test_a_few_slow_tasks_are_remembered_beyond_the_window() -> None:
    samples = [(WINDOW * number, number) for number in range(FEWEST)]
    assert pace_of(*samples).rate == pytest.approx(1 / WINDOW)


def test_tasks_opened_again_start_a_new_measurement() -> None:
    assert pace_of((0, 0), (10, 100), (11, 40), (21, 50)).rate == pytest.approx(1.0)


@given(per_look=st.integers(1, 1000), looks=st.integers(3, 400), interval=st.floats(0.1, 10, allow_nan=False))
def test_a_steady_speed_is_found_exactly(per_look: int, looks: int, interval: float) -> None:
    pace = pace_of(*((look * interval, look * per_look) for look in range(looks)))
    assert pace.rate == pytest.approx(per_look / interval)


def test_the_overall_rate_is_since_the_first_start() -> None:
    assert overall_rate(RUNNING, 110.0) == pytest.approx(5.0)


def test_the_overall_rate_of_an_ended_job_does_not_fall_with_time() -> None:
    assert overall_rate(ENDED, 10_000.0) == pytest.approx(2.0)


def test_a_job_without_a_start_has_no_rate() -> None:
    assert overall_rate(replace(RUNNING, first_started_at=None), 110.0) is None


@pytest.mark.parametrize(
    ("record", "rate", "left"),
    [
        pytest.param(RUNNING, 5.0, 10.0, id="what remains at that rate"),
        pytest.param(RUNNING, None, None, id="unknown without a rate"),
        pytest.param(ENDED, None, 0.0, id="nothing once it has ended"),
    ],
)
def test_time_left(record: JobRecord, rate: float | None, left: float | None) -> None:
    assert time_left(record, rate) == left


@pytest.mark.parametrize(
    ("rate", "shown"), [(1234.5, "1234"), (99.96, "100"), (3.14159, "3.14"), (0.0123, "0.0123")]
)
def test_a_speed_is_shown_without_an_exponent(rate: float, shown: str) -> None:
    assert speed(rate) == shown
