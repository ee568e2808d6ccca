"""What there is to do: jobs that arrive over time, and how long each of their tasks takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Bag:
    """A job. `durations`: of each of its tasks, in seconds, in the order in which they are sent. `vcpus` and `memory`
    are one task's needs. `told`: the seconds that one of its tasks is said to take before any has ended; None: nothing
    is known."""

    name: str
    arrival: float
    durations: Sequence[float]
    vcpus: float = 1.0
    memory: int = GIB
    queue: str = "default"
    told: float | None = None
    max_parallel: int | None = None

    @property
    def work(self) -> float:
        """Seconds of all tasks together."""
        return sum(self.durations)

    @property
    def mean(self) -> float:
        return self.work / len(self.durations)


@dataclass(frozen=True, slots=True)
class Workload:
    """`bags` by arrival, the first at 0."""

    name: str
    bags: Sequence[Bag]

    @property
    def tasks(self) -> int:
        return sum(len(bag.durations) for bag in self.bags)
