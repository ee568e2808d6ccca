"""Just enough of SVG for a chart: shapes and text at places in pixels, on white."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
INK, FAINT, GRID = "#1f2328", "#6e7781", "#d8dee4"

Point = tuple[float, float]


class Drawing:
    def __init__(self, width: float, height: float, title: str) -> None:
        self._width = width
        self._height = height
        self._parts: list[str] = [f"<title>{escape(title)}</title>"]
        self._element("rect", width=width, height=height, fill="#ffffff")

    def line(
        self, start: Point, end: Point, colour: str = GRID, width: float = 1.0, dashes: str = ""
    ) -> None:
        dashed = {"stroke_dasharray": dashes} if dashes else {}
        self._element(
            "line",
            x1=start[0],
            y1=start[1],
            x2=end[0],
            y2=end[1],
            stroke=colour,
            stroke_width=width,
            **dashed,
        )

    def path(self, points: Sequence[Point], colour: str, width: float = 1.5) -> None:
        self._element("path", d=_steps(points), fill="none", stroke=colour, stroke_width=width)

    def area(self, points: Sequence[Point], floor: float, colour: str) -> None:
        """What lies between the points and a height."""
        if points:
            around = f"M{_at((points[0][0], floor))} L{_steps(points)[1:]} L{_at((points[-1][0], floor))} Z"
            self._element("path", d=around, fill=colour)

    def dot(self, at: Point, radius: float, fill: str, stroke: str = "none") -> None:
        self._element("circle", cx=at[0], cy=at[1], r=radius, fill=fill, stroke=stroke)

    def box(self, at: Point, size: Point, fill: str) -> None:
        self._element("rect", x=at[0], y=at[1], width=size[0], height=size[1], fill=fill)

    def text(
        self,
        at: Point,
        words: str,
        size: float = 12.0,
        colour: str = INK,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        weight = {"font_weight": "600"} if bold else {}
        given = {"x": at[0], "y": at[1], "font_size": size, "fill": colour, "text_anchor": anchor, **weight}
        self._parts.append(f"<text{_attributes(given)}>{escape(words)}</text>")

    def render(self) -> str:
        size = f'width="{self._width:g}" height="{self._height:g}" viewBox="0 0 {self._width:g} {self._height:g}"'
        family = f"font-family={quoteattr(FONT)}"
        body = "\n".join(self._parts)
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {family}>\n{body}\n</svg>\n'

    def _element(self, name: str, **attributes: object) -> None:
        self._parts.append(f"<{name}{_attributes(attributes)}/>")


def ticks(most: float, count: int = 5) -> list[float]:
    """About so many round numbers from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    power = 1.0
    while power * 10 <= rough:
        power *= 10
    while power > rough:
        power /= 10
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    found = [0.0]
    while found[-1] < most:
        found.append(round(found[-1] + step, 10))
    return found


def _attributes(given: dict[str, object]) -> str:
    return "".join(f" {name.replace('_', '-')}={quoteattr(_shown(value))}" for name, value in given.items())


def _shown(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _at(point: Point) -> str:
    return f"{_shown(float(point[0]))},{_shown(float(point[1]))}"


def _steps(points: Sequence[Point]) -> str:
    """Each value holds until the next."""
    parts = [f"M{_at(points[0])}"]
    for (_, before), (x, y) in pairwise(points):
        parts.append(f"L{_at((x, before))} L{_at((x, y))}")
    return " ".join(parts)
