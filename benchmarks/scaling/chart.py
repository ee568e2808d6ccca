"""The chart of docs/scaling.md: what every policy costs, as a multiple of what nobody can beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.scaling.summary import Summary
from controller.simulation.model.svg import FAINT, Drawing

ROW, TOP, LEFT, PANEL, GAP, BOTTOM = 21.0, 78.0, 150.0, 270.0, 26.0, 40.0
MOST = 2.0
AIM = 1.10
OWN, OTHERS, BEST = "#0969da", "#b6bec7", "#57606a"


def draw(summary: Summary) -> str:
    names, worths = summary.workloads, summary.worths
    width = LEFT + len(worths) * (PANEL + GAP)
    height = TOP + ROW * len(names) + BOTTOM
    drawing = Drawing(width, height, "What each policy costs, as a multiple of the least possible")
    drawing.text(
        (12, 24), "Dollars for machines and waiting, as a multiple of what nobody can beat", 15, bold=True
    )
    _legend(drawing, 46)
    for row, name in enumerate(names):
        drawing.text((LEFT - 12, TOP + ROW * row + 14), name, 12, anchor="end")
    for column, worth in enumerate(worths):
        _panel(drawing, LEFT + column * (PANEL + GAP), worth, names, summary)
    return drawing.render()


def _legend(drawing: Drawing, y: float) -> None:
    entries = ((OWN, "this project"), (BEST, "the best baseline there"), (OTHERS, "the other baselines"))
    x = 16.0
    for colour, words in entries:
        drawing.dot((x, y - 4), 5, colour)
        drawing.text((x + 10, y), words, 12)
        x += 34 + 6.6 * len(words)
    drawing.text((x, y), f"dashed: the aim, {AIM:.2f}; at the right edge: {MOST:g} and more", 12, FAINT)


def _panel(drawing: Drawing, left: float, worth: float, names: Sequence[str], summary: Summary) -> None:
    bottom = TOP + ROW * len(names)
    drawing.text((left, TOP - 10), f"an hour of waiting is worth ${worth:g}", 12, bold=True)
    for value in (1.0, 1.25, 1.5, 1.75, 2.0):
        drawing.line((_x(left, value), TOP), (_x(left, value), bottom))
        drawing.text((_x(left, value), bottom + 16), f"{value:g}", 11, FAINT, "middle")
    drawing.line((_x(left, AIM), TOP), (_x(left, AIM), bottom), OWN, 1.2, "4 3")
    for row, name in enumerate(names):
        _dots(drawing, left, TOP + ROW * row + ROW / 2, summary.ratios(name, worth), summary.own)


def _dots(drawing: Drawing, left: float, y: float, ratios: Mapping[str, float], own: str) -> None:
    others = sorted(ratio for policy, ratio in ratios.items() if policy != own)
    for ratio in reversed(others[1:]):
        drawing.dot((_x(left, ratio), y), 3.6, OTHERS)
    drawing.dot((_x(left, others[0]), y), 4.4, BEST)
    drawing.dot((_x(left, ratios[own]), y), 5.0, OWN, "#ffffff")


def _x(left: float, ratio: float) -> float:
    return left + PANEL * (min(MOST, ratio) - 1.0) / (MOST - 1.0)
