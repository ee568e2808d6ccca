"""Traces in the Standard Workload Format (https://www.cs.huji.ac.il/labs/parallel/workload/swf.html): a job on a line,
as eighteen numbers, -1 where one is not known; comments begin with ';'.

A job on n processors that took so many seconds is read as n tasks of one vCPU that take as long each: independent,
as shards are. Jobs of one user and executable have one name, so what the earlier took is known of the later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from controller.simulation.model.workload import GIB, Bag
from runner.errors import BadInput, Place

SUBMITTED, RAN, PROCESSORS, MEMORY, USER, EXECUTABLE = 1, 3, 4, 6, 11, 13
FIELDS = 18
KIB = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """Of a trace, in seconds from its beginning: jobs submitted from `start` to `end`."""

    start: float = 0.0
    end: float = float("inf")


ALL = Span()


def bags(lines: Iterable[str], span: Span = ALL, *, memory: int = GIB, file: str | None = None) -> list[Bag]:
    """By arrival, the first at 0. `memory`: of a task, where the trace does not tell. Raises BadInput, which names
    `file`; jobs that never ran are left out."""
    found = [
        bag
        for number, line in enumerate(lines, 1)
        if (bag := _bag(line, Place(file, number), memory)) is not None
        and span.start <= bag.arrival < span.end
    ]
    found.sort(key=lambda bag: bag.arrival)
    return [replace(bag, arrival=bag.arrival - found[0].arrival) for bag in found]


def is_trace(lines: Iterable[str]) -> bool:
    """Whether it looks like one, from its first line that is no comment."""
    for line in lines:
        if line.strip() and not line.lstrip().startswith(";"):
            return len(line.split()) == FIELDS and all(_is_number(each) for each in line.split())
    return False


def _bag(line: str, place: Place, memory: int) -> Bag | None:
    text = line.strip()
    if not text or text.startswith(";"):
        return None
    fields = list(_numbers(text, place))
    if fields[RAN] <= 0 or fields[PROCESSORS] < 1 or fields[SUBMITTED] < 0:
        return None
    asked = int(fields[MEMORY] * KIB)
    return Bag(
        name=f"{fields[USER]:g}-{fields[EXECUTABLE]:g}",
        arrival=fields[SUBMITTED],
        durations=[fields[RAN]] * int(fields[PROCESSORS]),
        memory=asked if asked > 0 else memory,
    )


def _numbers(text: str, place: Place) -> Iterator[float]:
    parts = text.split()
    if len(parts) < FIELDS or not all(_is_number(part) for part in parts[:FIELDS]):
        message = f"not a job in the Standard Workload Format, which is {FIELDS} numbers"
        raise BadInput(message, place)
    return (float(part) for part in parts[:FIELDS])


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
