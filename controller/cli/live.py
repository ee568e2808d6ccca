"""Progress while waiting, on stderr: a live picture on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from controller.cli.output import duration, remark, speed
from controller.progress import Pace, time_left
from controller.waiting import View
from runner.model import Status
from runner.records import Counts, JobRecord
from runner.wording import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 30.0
MOST_JOBS = 12
BAR_WIDTH = 24


class Display(Protocol):
    def show(self, view: View) -> None: ...

    def note(self, text: str) -> None:
        """Something to know, shown once."""
        ...


@contextmanager
def display() -> Iterator[Display]:
    if not sys.stderr.isatty() or os.environ.get("TERM") in (None, "dumb"):
        yield PlainDisplay(time.monotonic)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield LiveDisplay(live, time.monotonic)


class Paces:
    """Each job's speed, as far as it was seen."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paces: dict[str, Pace] = {}

    def words(self, record: JobRecord) -> tuple[str, str]:
        """Its rate and the time left, empty where they say nothing."""
        pace = self._paces.setdefault(record.job.id, Pace())
        pace.observe(self._clock(), record.counts.finished)
        rate = pace.rate
        left = time_left(record, rate)
        if rate is None or record.status is not Status.RUNNING:
            return "", ""
        return f"{speed(rate)}/s", "" if left is None else f"{duration(max(1, round(left)))} left"


class PlainDisplay:
    """At most a line a job every few seconds, ever more seldom, and only where something changed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paces = Paces(clock)
        self._pause = FIRST_PAUSE
        self._not_before = clock() + FIRST_PAUSE
        self._said: dict[str, Counts] = {}
        self._trouble = ""

    def show(self, view: View) -> None:
        if view.trouble and view.trouble != self._trouble:
            self._trouble = view.trouble
            self.note(view.trouble)
        lines = {record.job.id: self._line(record) for record in (*view.parents, *view.jobs)[:MOST_JOBS]}
        if self._clock() < self._not_before:
            return
        for record in (*view.parents, *view.jobs)[:MOST_JOBS]:
            if self._said.get(record.job.id) != record.counts:
                self._said[record.job.id] = record.counts
                remark(lines[record.job.id])
        self._pause = min(LONGEST_PAUSE, 1.5 * self._pause)
        self._not_before = self._clock() + self._pause

    def note(self, text: str) -> None:
        remark(text)

    def _line(self, record: JobRecord) -> str:
        said = [f"{record.job.name} ({record.job.id}) {record.status}", *tally(record)]
        return ", ".join([*said, *(word for word in self._paces.words(record) if word)])


class LiveDisplay:
    def __init__(self, live: Live, clock: Callable[[], float]) -> None:
        self._live = live
        self._paces = Paces(clock)

    def show(self, view: View) -> None:
        self._live.update(self._picture(view), refresh=True)

    def note(self, text: str) -> None:
        from rich.text import Text

        self._live.console.print(Text("\n".join(printable(line) for line in text.splitlines())))

    def _picture(self, view: View) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        records = (*view.parents, *view.jobs)
        grid = Table.grid(padding=(0, 1))
        for record in records[:MOST_JOBS]:
            grid.add_row(*self._row(record))
        more = [Text(f"… and {len(records) - MOST_JOBS} more jobs")] if len(records) > MOST_JOBS else []
        trouble = [Text(printable(view.trouble), style="red")] if view.trouble else []
        return Group(grid, *more, *trouble)

    def _row(self, record: JobRecord) -> Sequence[RenderableType]:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        counts = record.counts
        style = "red" if counts.failed else "green"
        done = ProgressBar(
            total=record.job.array.size,
            completed=counts.finished,
            width=BAR_WIDTH,
            complete_style=style,
            finished_style=style,
        )
        words = [*tally(record), *(word for word in self._paces.words(record) if word)]
        name = Text(printable(record.job.name), style="bold")
        return [
            name,
            done,
            Text(str(record.status).lower()),
            Text(" · ".join(words), no_wrap=True, overflow="ellipsis"),
        ]


def tally(record: JobRecord) -> list[str]:
    """What there is to say of a job's counts."""
    counts = record.counts
    said = [f"{counts.succeeded}/{record.job.array.size} done"]
    known = {"failed": counts.failed, "cancelled": counts.cancelled, "running": counts.running}
    said += [f"{count} {name}" for name, count in known.items() if count]
    waiting = counts.pending + counts.runnable
    return [*said, f"{waiting} waiting"] if waiting else said
