"""The chart of a fleet over time: what is drawn is what was."""

from __future__ import annotations

import re
from collections.abc import Sequence

from controller.simulation.model import chart
from controller.simulation.model.run import Sample

DAY = 86_400.0


def texts(samples: Sequence[Sample]) -> list[str]:
    drawing = chart.draw([chart.Panel("panel", samples)], "title")
    return [found[1] for found in re.finditer(r"<text[^>]*>([^<]*)</text>", drawing)]


def busy_then_nothing() -> list[Sample]:
    """A thousand steps of waiting, then none for a day: nobody was there."""
    steps = [Sample(5.0 * number, 1, 0, 7, 0) for number in range(999)]
    return [*steps, Sample(5000.0, 0, 0, 0, 0), Sample(DAY, 1, 0, 3, 0)]


def test_what_lasted_until_nobody_was_there_is_not_drawn_beyond() -> None:
    drawn = chart.thinned(busy_then_nothing())
    before = max(each for each in drawn if each.at < DAY)
    assert before == Sample(5000.0, 0, 0, 0, 0)


def test_a_peak_is_drawn_however_short_it_was() -> None:
    steps = [Sample(5.0 * number, 0, 1, 0, 1) for number in range(10_000)]
    steps[5001] = Sample(5.0 * 5001, 0, 9, 0, 1)
    steps[5002] = Sample(5.0 * 5002, 0, 1, 40, 1)
    drawn = chart.thinned(steps)
    assert (max(each.waiting for each in drawn), max(each.serving for each in drawn)) == (40, 9)


def test_however_long_it_was_there_are_not_many_more_points_than_pixels() -> None:
    assert (
        len(chart.thinned([Sample(5.0 * number, number % 7, 1, number % 5, 1) for number in range(100_000)]))
        < 1000
    )


def test_a_quarter_of_an_hour_is_told_in_minutes() -> None:
    assert "15 min" in texts([Sample(0.0, 1, 0, 1, 0), Sample(900.0, 0, 0, 0, 0)])


def test_hours_are_told_in_hours() -> None:
    assert "10 h" in texts([Sample(0.0, 1, 0, 1, 0), Sample(10 * 3600.0, 0, 0, 0, 0)])


def test_weeks_are_told_in_days() -> None:
    assert "20 d" in texts([Sample(0.0, 1, 0, 1, 0), Sample(20 * DAY, 0, 0, 0, 0)])
