"""What SQS may do though nobody wishes it, by its documentation."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

# In seconds: a second copy of a message shows so soon, one that came through its deletion so late, at most.
SOON, LATE = 5.0, 60.0


@dataclass
class Behaviour:
    """All of it may be changed at any time; shares lie between 0 and 1.

    `duplicates`: of receives, after which the message is delivered once more while it is in flight. `ghosts`: of
    deletes, that say they succeeded and leave the message to come back. `stale`: of deletes with a handle that a later
    receive replaced, that delete all the same. `shuffled`: messages come in no order. `short`: of receives, that bring
    a part of what there is. `failing`: of the entries of batches, that fail for the service's own reasons, of which
    half were carried out. `lag`: counts tell what was true up to so many seconds ago, each for itself. `crowd`: so
    many messages more are in flight in every queue, none of which is there.
    """

    duplicates: float = 0.0
    ghosts: float = 0.0
    stale: float = 0.0
    shuffled: bool = False
    short: float = 0.0
    failing: float = 0.0
    lag: float = 0.0
    crowd: int = 0


class Counts(NamedTuple):
    visible: int
    in_flight: int
    delayed: int


class Past:
    """What the counts were, for as long as they may still be told."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, Counts]] = deque()

    def note(self, now: float, counts: Counts, lag: float) -> None:
        while len(self._noted) > 1 and self._noted[1][0] < now - lag:
            self._noted.popleft()
        self._noted.append((now, counts))

    def as_of(self, time: float) -> Counts:
        """The last that was noted until then; else the first."""
        found = self._noted[0][1]
        for at, counts in self._noted:
            if at > time:
                break
            found = counts
        return found
