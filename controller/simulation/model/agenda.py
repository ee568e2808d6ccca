"""Events in the order of their times; those of one time in the order in which they were entered."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any


class Agenda:
    """`now` is in seconds from the start of the run."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entered = 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, time: float, action: Callable[..., None], *given: Any) -> None:
        """What should have been long ago is done next."""
        self._entered += 1
        heapq.heappush(self._events, (max(time, self.now), self._entered, action, given))

    @property
    def next_at(self) -> float:
        """When something is due next; infinite: nothing is."""
        return self._events[0][0] if self._events else math.inf

    def advance(self, until: float) -> bool:
        """Do what comes next. False: there is nothing before `until`."""
        if not self._events or self._events[0][0] > until:
            return False
        self.now, _, action, given = heapq.heappop(self._events)
        action(*given)
        return True
