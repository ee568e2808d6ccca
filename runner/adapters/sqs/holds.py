"""What this process knows of the messages that it holds, beyond what their leases say. Each remembers the last few
thousand messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from runner.model import Lease

MOST = 5000

V = TypeVar("V")


class Over:
    """Leases that were completed or released here: a beat that comes late must not undo that."""

    def __init__(self) -> None:
        self._tokens: dict[str, None] = {}

    def __contains__(self, lease: Lease) -> bool:
        return lease.token in self._tokens

    def update(self, leases: Iterable[Lease]) -> None:
        self._tokens.update(dict.fromkeys(lease.token for lease in leases))
        _forget_oldest(self._tokens)


class Extended:
    """Until when (the loop's time) a message is hidden for certain: beats move that on, and leases do not change."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def until(self, lease: Lease) -> float:
        return self._until.get(lease.token, lease.hidden_until)

    def update(self, extended: Iterable[tuple[Lease, float]]) -> None:
        for lease, until in extended:
            self._until.pop(lease.token, None)  # so that it is among the newest
            self._until[lease.token] = until
        _forget_oldest(self._until)


def _forget_oldest(known: dict[str, V]) -> None:
    while len(known) > MOST:
        del known[next(iter(known))]
