"""What the cloud is like during a run: how machines come, and how they are taken away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Reclaim:
    """At `at` all machines of an environment are told to go."""

    at: float
    environment: str


@dataclass(frozen=True, slots=True)
class Shortage:
    """From `start` to `end` an environment gets no machine beyond `most`."""

    environment: str
    start: float
    end: float
    most: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """Times in seconds. `boot`: from asking for a machine to its first task, on average, spread evenly by the fraction
    `jitter` to either side. `hazard`: reclaims an hour of one machine in a spot environment. `count_lag`: how old the
    queue's counts are. `retry`: a group without capacity tries again after so long. `minimum_billed`: of a machine."""

    boot: float = 180.0
    jitter: float = 0.15
    hazard: float = 0.0
    reclaims: Sequence[Reclaim] = ()
    shortages: Sequence[Shortage] = ()
    count_lag: float = 0.0
    retry: float = 60.0
    minimum_billed: float = 60.0

    def obtainable(self, environment: str, now: float) -> float:
        """How many machines the environment may have at most."""
        of_it = (each for each in self.shortages if each.environment == environment)
        return min((each.most for each in of_it if each.start <= now < each.end), default=math.inf)
