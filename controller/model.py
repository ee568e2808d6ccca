"""The controller's own nouns: frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FleetCapacity:
    """Machines there are or are coming, and the most there may be."""

    running: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many machines there should be, and why."""

    desired: int
    reason: str
