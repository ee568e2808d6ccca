"""How results are printed: for people, as JSON, or as ids only. Results go to stdout, remarks to stderr.

Whatever came from outside is made harmless here, at the last moment: JSON escapes by itself, text for people
has everything escaped that could steer a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import TypeVar

import click

from runner.model import Status
from runner.units import format_duration
from runner.wording import printable

Command = TypeVar("Command", bound=Callable[..., object])


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    QUIET = "quiet"


COLOURS = {
    Status.PENDING: "blue",
    Status.RUNNABLE: "cyan",
    Status.RUNNING: "yellow",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "magenta",
}

output_option: Callable[[Command], Command] = click.option(
    "--output",
    "output",
    type=click.Choice([str(each) for each in Format]),
    default=str(Format.TABLE),
    callback=lambda _context, _parameter, value: Format(value),
    help="For people, as JSON, or ids only. Default: table.",
)


def remark(text: str) -> None:
    """Something to know that is not a result."""
    for line in text.splitlines():
        click.echo(printable(line), err=True)


def line(text: str) -> None:
    click.echo(printable(text))


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


async def print_json_array(values: AsyncIterator[object]) -> None:
    """One element after the other, so that a million of them never stand in memory together."""
    separator = "["
    async for value in values:
        click.echo(f"{separator}\n  {json.dumps(value)}", nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return format_duration(round(seconds) if seconds >= 10 else round(seconds, 2))


def speed(rate: float) -> str:
    """Three digits that count, and never an exponent."""
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"


def clock_time(at: float | None) -> str:
    """The machine's local time."""
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def on_terminal() -> bool:
    return sys.stdout.isatty()
