"""How clusters and steps are named, so that whoever supervises next finds what was started. Pure.

RunJobFlow and AddJobFlowSteps have no client token: a name is all that tells one attempt's from another's. No part of
it can hold a slash, so no two attempts have the same.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# The same key as on everything else of an installation.
TAG = "runner-fleet"
LONGEST = 256

_NAME = re.compile(r"([a-z0-9-]+)/([A-Za-z0-9._-]+)/([0-9]{1,9})/([0-9]{1,9})")


class Name(NamedTuple):
    """Of one attempt: `round` is the job's when it began, `number` the ledger's."""

    installation: str
    job_id: str
    round: int
    number: int

    def __str__(self) -> str:
        return "/".join(map(str, self))

    def step(self, position: int, name: str) -> str:
        """Of the attempt's step, counted from 1."""
        return f"{self}/{position} {name}"[:LONGEST]


def name_in(text: str) -> Name | None:
    """None for what is nobody's attempt."""
    found = _NAME.fullmatch(text)
    return Name(found[1], found[2], int(found[3]), int(found[4])) if found else None


def position_in(name: Name, text: str) -> int | None:
    """Of a step of this attempt; None for another's."""
    rest = text.removeprefix(f"{name}/")
    digits = rest.partition(" ")[0]
    return int(digits) if rest != text and digits.isdecimal() else None
