"""One channel's messages between their arrival and the receive that takes them.

A request for one message costs as much as for ten. So an agent that takes many a minute is brought some
ahead, at the pace at which it took them; what nobody takes in time is given back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from runner.model import Lease

# Over how many seconds the pace is measured.
WINDOW = 10.0

# Of the time that a message is hidden: what must be left for an agent to begin with it. An agent stops a task with 0.35
# of its lease left, and its first beat may be 0.3 of a lease away: a task that began later would be stopped before it.
FRESH_SHARE = 0.7


class Pace:
    """How fast messages are taken. A first taking tells nothing yet: an agent that starts fills up once."""

    def __init__(self) -> None:
        self._takings: deque[tuple[float, int]] = deque()

    def took(self, count: int, at: float) -> None:
        self._takings.append((at, count))

    def expected(self, seconds: float, at: float) -> int:
        """How many will be taken within so many seconds, by the pace of before."""
        while self._takings and self._takings[0][0] < at - WINDOW:
            self._takings.popleft()
        later = sum(count for _, count in self._takings) - (self._takings[0][1] if self._takings else 0)
        return int(later / WINDOW * seconds)

    def forget(self) -> None:
        self._takings.clear()


class Kept(NamedTuple):
    """A lease that nobody has taken yet, and when (the loop's time) it is given back."""

    lease: Lease
    until: float


def fresh(lease: Lease, at: float) -> bool:
    return lease.hidden_until - at > FRESH_SHARE * (lease.hidden_until - lease.received)


class Inbox:
    """`name` is the SQS queue's. `empty`: the last answer brought nothing. `polled_at`: when a long poll last began;
    `failed_at`: when a request failed, if that was the last."""

    def __init__(self, channel: str, name: str) -> None:
        self.channel = channel
        self.name = name
        self.empty = False
        self.crowded = False
        self.polling: asyncio.Task[None] | None = None
        self.polled_at = float("-inf")
        self.failed_at = float("-inf")
        self.pace = Pace()
        self._kept: deque[Kept] = deque()

    def put(self, leases: Sequence[Lease], until: float) -> None:
        self._kept.extend(Kept(lease, until) for lease in leases)

    def take(self, most: int, at: float) -> Sequence[Lease]:
        """The longest kept first, and none whose time is nearly over, as after this process was frozen."""
        taken = [kept for kept in self._kept if fresh(kept.lease, at)][:most]
        for kept in taken:
            self._kept.remove(kept)
        if taken:
            self.pace.took(len(taken), at)
        return [kept.lease for kept in taken]

    def leave(self, at: float) -> Sequence[Lease]:
        """Those kept until `at` or shorter; they are no longer here."""
        over = [kept for kept in self._kept if kept.until <= at]
        for kept in over:
            self._kept.remove(kept)
        return [kept.lease for kept in over]
