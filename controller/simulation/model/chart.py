"""A fleet over time, as SVG: one panel for each run, machines below, what waits above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.simulation.model.run import Sample
from controller.simulation.model.svg import FAINT, Drawing, ticks

WIDTH, HEIGHT, MARGIN, BETWEEN = 340.0, 150.0, 46.0, 62.0
COLUMNS = 3
SERVING, BOOTING, WAITING = "#54aeff", "#ddf4ff", "#cf222e"
HOUR = 3600.0
# No panel needs more points than it has pixels, or nearly.
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
    samples = _thinned(panel.samples)
    drawing.text((left, top - 6), panel.title, 12, bold=True)
    if not samples:
        return
    bottom, width = top + HEIGHT, WIDTH - MARGIN
    times = ticks(max(1.0, samples[-1].at) / HOUR)
    machines = ticks(max(1, *(each.booting + each.serving for each in samples)), 4)
    waiting = ticks(max(1, *(each.waiting for each in samples)), 4)

    def across(seconds: float) -> float:
        return left + width * seconds / HOUR / times[-1]

    def up(value: float, scale: Sequence[float]) -> float:
        return bottom - (bottom - top) * value / scale[-1]

    for value in machines:
        drawing.line((left, up(value, machines)), (left + width, up(value, machines)))
        drawing.text((left - 6, up(value, machines) + 4), f"{value:g}", 10, FAINT, "end")
    for value in waiting:
        drawing.text((left + width + 6, up(value, waiting) + 4), f"{value:,g}", 10, WAITING)
    for value in times:
        drawing.text((across(value * HOUR), bottom + 14), f"{value:g} h", 10, FAINT, "middle")
    every = [(across(each.at), up(each.booting + each.serving, machines)) for each in samples]
    drawing.area(every, bottom, BOOTING)
    drawing.area([(across(each.at), up(each.serving, machines)) for each in samples], bottom, SERVING)
    drawing.path([(across(each.at), up(each.waiting, waiting)) for each in samples], WAITING, 1.2)


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    apart = max(1, len(samples) // MOST_POINTS)
    return [*samples[::apart], *samples[-1:]]
