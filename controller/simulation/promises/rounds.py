"""In which round a job is, and whether it ended as a whole: what several rules must know."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.simulation.history import Event
from controller.simulation.promises.rule import See


@dataclass
class Rounds:
    registered: dict[str, Event] = field(default_factory=dict)
    _reopened: defaultdict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    _ended: dict[str, float] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        return {"registered": self._see_registered, "reopened": self._see_reopened, "ended": self._see_ended}

    def now(self, job: str) -> int:
        reopened = self._reopened[job]
        return reopened[-1][0] if reopened else 1

    def over_at(self, job: str, round_: int) -> float:
        """When what ended in this round without success was opened again."""
        return next((at for later, at in self._reopened[job] if later > round_), math.inf)

    def ended_until(self, job: str) -> float:
        """Until when the job was last over as a whole; minus infinity: it never was."""
        at = self._ended.get(job)
        if at is None:
            return -math.inf
        return next((reopened for _, reopened in self._reopened[job] if reopened > at), math.inf)

    def _see_registered(self, event: Event) -> None:
        self.registered.setdefault(event.subject, event)

    def _see_reopened(self, event: Event) -> None:
        self._reopened[event.subject].append((event.more["round"], event.at))

    def _see_ended(self, event: Event) -> None:
        self._ended[event.subject] = event.at
