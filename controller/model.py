"""The controller's own nouns: frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instance:
    """One machine of an environment. `id` is also the name of the host its agent reports as.

    `in_service` False: still launching. `leaving`: it terminates, or is about to.
    """

    id: str
    in_service: bool
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last tries at getting more machines failed: insufficient capacity, a quota.

    `since` and `last` are the times of the first and the latest failure with no success after them.
    """

    reason: str
    since: float
    last: float


@dataclass(frozen=True, slots=True)
class EnvironmentCapacity:
    """The machines of one compute environment. `desired` is what was asked for, `running` is in service, `pending` was
    launched and is not in service yet: without trouble, what is missing to `desired` is coming too.
    """

    name: str
    desired: int
    running: int
    pending: int
    minimum: int
    maximum: int
    instances: Sequence[Instance] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How many machines an environment should have, and why."""

    desired: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence of an explanation. `code` is stable, for programs."""

    code: str
    text: str
