"""A fleet over time, as SVG: one panel for each run, machines below, what waits above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from controller.simulation.model.run import Sample
from controller.simulation.model.svg import FAINT, Drawing, ticks

WIDTH, HEIGHT, MARGIN, BETWEEN = 340.0, 150.0, 46.0, 62.0
COLUMNS = 3
SERVING, BOOTING, WAITING = "#54aeff", "#ddf4ff", "#cf222e"
# From so many seconds on, time is told in units of so many, which are called so.
UNITS = ((4 * 86_400.0, 86_400.0, "d"), (2 * 3600.0, 3600.0, "h"), (0.0, 60.0, "min"))
# No panel needs more moments than it has pixels, or nearly.
MOST_POINTS = 250


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    samples: Sequence[Sample]


def draw(panels: Sequence[Panel], title: str) -> str:
    rows = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    drawing = Drawing(columns * (WIDTH + MARGIN) + MARGIN, rows * (HEIGHT + BETWEEN) + 74, title)
    drawing.text((16, 26), title, 15, bold=True)
    x = 16.0
    for colour, words in (
        (SERVING, "machines"),
        (BOOTING, "of them booting"),
        (WAITING, "tasks that wait (right)"),
    ):
        drawing.box((x, 40), (11, 11), colour)
        drawing.text((x + 16, 50), words, 12)
        x += 40 + 6.6 * len(words)
    for at, panel in enumerate(panels):
        _panel(
            drawing, MARGIN + at % COLUMNS * (WIDTH + MARGIN), 84 + at // COLUMNS * (HEIGHT + BETWEEN), panel
        )
    return drawing.render()


def _panel(drawing: Drawing, left: float, top: float, panel: Panel) -> None:
    samples = thinned(panel.samples)
    drawing.text((left, top - 6), panel.title, 11, bold=True)
    if not samples:
        return
    bottom, width = top + HEIGHT, WIDTH - MARGIN
    end = max(1.0, samples[-1].at)
    unit, name = next((unit, name) for least, unit, name in UNITS if end >= least)
    times = ticks(end / unit)
    machines = ticks(max(1, *(each.booting + each.serving for each in samples)), 4)
    waiting = ticks(max(1, *(each.waiting for each in samples)), 4)

    def across(seconds: float) -> float:
        return left + width * seconds / unit / times[-1]

    def up(value: float, scale: Sequence[float]) -> float:
        return bottom - (bottom - top) * value / scale[-1]

    for value in machines:
        drawing.line((left, up(value, machines)), (left + width, up(value, machines)))
        drawing.text((left - 6, up(value, machines) + 4), f"{value:g}", 10, FAINT, "end")
    for value in waiting:
        drawing.text((left + width + 6, up(value, waiting) + 4), f"{value:,g}", 10, WAITING)
    for value in times:
        drawing.text((across(value * unit), bottom + 14), f"{value:g} {name}", 10, FAINT, "middle")
    every = [(across(each.at), up(each.booting + each.serving, machines)) for each in samples]
    drawing.area(every, bottom, BOOTING)
    drawing.area([(across(each.at), up(each.serving, machines)) for each in samples], bottom, SERVING)
    drawing.path([(across(each.at), up(each.waiting, waiting)) for each in samples], WAITING, 1.2)


def thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Of each span of time what holds until the next, and its peaks."""
    width = max(1.0, samples[-1].at / MOST_POINTS) if samples else 1.0
    drawn = list(samples[:1])
    for _, each in groupby(samples, lambda sample: sample.at // width):
        span = list(each)
        drawn += sorted({max(span, key=_machines), max(span, key=_waiting), span[-1]})
    return drawn


def _machines(sample: Sample) -> int:
    return sample.booting + sample.serving


def _waiting(sample: Sample) -> int:
    return sample.waiting
