"""Plain tables. Columns are as wide as the first rows need, so that endless ones are printed as they come."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from controller.cli.output import COLOURS, on_terminal
from runner.model import Status
from runner.wording import printable

FITTED = 200  # rows that decide the widths
WIDEST = 60
GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    right: bool = False


class Table:
    """The last column is cut where a terminal's line ends."""

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._widths: list[int] = []
        self._held: list[list[str]] = []

    def add(self, *cells: object) -> None:
        row = [printable("-" if cell is None else str(cell)) for cell in cells]
        if self._widths:
            self._print(row)
            return
        self._held.append(row)
        if len(self._held) >= FITTED:
            self._begin()

    def end(self) -> None:
        if not self._widths:
            self._begin()

    def _begin(self) -> None:
        titles = [column.title for column in self._columns]
        rows = [titles, *self._held]
        self._widths = [min(WIDEST, max(_width(row[i]) for row in rows)) for i in range(len(titles))]
        click.secho(self._formatted(titles, plain=True), bold=True)
        for row in self._held:
            self._print(row)
        self._held = []

    def _print(self, row: Sequence[str]) -> None:
        click.echo(self._formatted(row))

    def _formatted(self, row: Sequence[str], *, plain: bool = False) -> str:
        room = _line_width() - sum(self._widths[:-1]) - len(GAP) * (len(row) - 1)
        cells = [*row[:-1], _cut(row[-1], room)]
        padded = [
            _padded(cell if plain else coloured(cell), width - _width(cell), right=column.right)
            for cell, width, column in zip(cells, self._widths, self._columns, strict=True)
        ]
        return GAP.join(padded).rstrip()


def _padded(text: str, padding: int, *, right: bool) -> str:
    return " " * padding + text if right else text + " " * padding


def coloured(text: str) -> str:
    """A status in its colour (which is not printed where no terminal shows it), other text as it is."""
    return click.style(text, fg=COLOURS[Status(text)]) if text in COLOURS else text


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line."""
    shown = [(name, printable(str(value))) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{click.style(name, bold=True)}{' ' * (width - len(name))}  {coloured(value)}")


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _cut(text: str, room: int) -> str:
    return text if len(text) <= max(room, 10) else f"{text[: max(room, 10) - 1]}…"


def _line_width() -> int:
    return shutil.get_terminal_size().columns if on_terminal() else 1_000_000
