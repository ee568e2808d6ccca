"""Where a log lies: which object, from which byte, how many. As text it stands in the attempt's record."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "logs/"

_PLACE = re.compile(r"(logs/[!-9;-~]{1,900}):([0-9]{1,15}):([0-9]{1,15})")
_OPENED = re.compile(r"([0-9]{1,12})-[0-9]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Place:
    key: str
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.key}:{self.offset}:{self.length}"

    @property
    def opened_at(self) -> float:
        """When the object was begun, by its host's clock; 0 if its name does not say."""
        found = _OPENED.fullmatch(self.key.rpartition("/")[2])
        return float(found[1]) if found else 0.0


def parse_place(text: str) -> Place:
    """Raises ValueError for what is no place of a log: a record may have been written by anybody."""
    found = _PLACE.fullmatch(text)
    if found is None:
        problem = f"not the place of a log: {text[:200]!r}"
        raise ValueError(problem)
    return Place(found[1], int(found[2]), int(found[3]))


def key_prefix(owner: str) -> str:
    """Of all that one agent stores. `owner` is `host#incarnation`: nobody else ever uses the same keys."""
    host, _, incarnation = owner.partition("#")
    return f"{PREFIX}{_UNSAFE.sub('_', host)[:100]}/{_UNSAFE.sub('_', incarnation)[:40]}/"


def object_key(prefix: str, opened: float, number: int) -> str:
    """In the order of time within an agent."""
    return f"{prefix}{int(opened)}-{number}"
