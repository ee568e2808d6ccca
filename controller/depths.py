"""What the queues' counts say, believed once they have said it for a while.

They are approximate, late, and not all of one moment: one look at a busy channel beside one that was just filled shows
tasks where none ever went, and for these, machines would be bought.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.records import Backlog

# Twice as long as counts are late, in seconds.
LAG = 120.0


@dataclass(frozen=True, slots=True)
class Believed:
    """`excess`: by channel, how many messages it holds beyond the tasks that were sent there; below 0: how many fewer.
    `quiet`: channels on which none has been visible for a while: whoever waits there waits for its next try. `left`: by
    channel, so many were visible all the while beyond those of tasks that wait: what they are of runs no more."""

    excess: Mapping[str, int] = field(default_factory=dict)
    quiet: Collection[str] = frozenset()
    left: Mapping[str, int] = field(default_factory=dict)


class _Look(NamedTuple):
    at: float
    excess: int
    visible: int
    waiting: int


class Depths:
    """Remembers what was seen in the last `lag` seconds, by the time that the counts themselves bear."""

    def __init__(self, lag: float = LAG) -> None:
        self._lag = lag
        self._looks: dict[str, deque[_Look]] = {}

    def observe(
        self, backlog: Mapping[str, Backlog], sent: Mapping[str, int], running: Mapping[str, int]
    ) -> Believed:
        """`sent`: by channel, tasks that were sent there and have not ended; of these so many are `running`."""
        excess: dict[str, int] = {}
        quiet: set[str] = set()
        left: dict[str, int] = {}
        for channel, depth in backlog.items():
            known = sent.get(channel, 0)
            look = _Look(depth.as_of, depth.total - known, depth.visible, known - running.get(channel, 0))
            looks = self._remember(channel, look)
            if looks[-1].at - looks[0].at >= self._lag:
                excess[channel] = _lasting([look.excess for look in looks])
                left[channel] = _beyond(looks)
                if not any(look.visible for look in looks):
                    quiet.add(channel)
        return Believed(excess, quiet, left)

    def _remember(self, channel: str, look: _Look) -> deque[_Look]:
        looks = self._looks.setdefault(channel, deque())
        if looks and not 0 <= look.at - looks[-1].at <= self._lag:
            looks.clear()  # a clock was set, or nobody looked in between
        if looks and looks[-1].at == look.at:
            looks.pop()
        looks.append(look)
        while len(looks) > 1 and looks[1].at <= look.at - self._lag:
            looks.popleft()
        return looks


def at_once(backlog: Mapping[str, Backlog], sent: Mapping[str, int]) -> Believed:
    """What one look says; for counts that are exact."""
    return Believed({channel: depth.total - sent.get(channel, 0) for channel, depth in backlog.items()})


def _beyond(looks: Collection[_Look]) -> int:
    """Counts that are late show what has begun since as if it still waited."""
    return max(0, min(look.visible for look in looks) - max(look.waiting for look in looks))


def _lasting(seen: Collection[int]) -> int:
    """The least that was so all the time."""
    return max(0, min(seen)) + min(0, max(seen))
