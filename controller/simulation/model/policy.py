"""What a scaling policy sees, and what it may ask for. Baselines and the product's own policy are alike in this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from controller.model import EnvironmentCapacity
from controller.simulation.model.workload import Bag
from runner.records import Backlog


@dataclass(slots=True, eq=False)
class Progress:
    """A job and how far it is. `seconds`: of its ended tasks together. `held`: of those that wait, so many are not sent
    yet."""

    id: str
    bag: Bag
    waiting: int
    running: int = 0
    ended: int = 0
    seconds: float = 0.0
    first_started: float | None = None
    last_ended: float | None = None
    held: int = 0

    @property
    def sent(self) -> int:
        """Tasks that wait on the queue, or run."""
        return self.unfinished - self.held

    @property
    def unfinished(self) -> int:
        return self.waiting + self.running


@dataclass(frozen=True, slots=True)
class Sight:
    """`jobs`: those that arrived and have tasks left. `past`: the others that arrived, the latest last. `depth`: the
    queue's counts by channel, as late as they are. `leaving`: by environment, machines that take no more work. Where
    `version` is what it was, nothing has changed but the time.
    """

    now: float
    jobs: Sequence[Progress]
    past: Sequence[Progress]
    capacity: Mapping[str, EnvironmentCapacity]
    depth: Mapping[str, Backlog]
    leaving: Mapping[str, int]
    version: int = 0


@dataclass(frozen=True, slots=True)
class Orders:
    """`desired`: by environment. `waiting`: what agents are told of the demand, by channel. `until`: up to
    then, in seconds, every step comes to the same, unless something changes but the time."""

    desired: Mapping[str, int]
    waiting: Mapping[str, int] = field(default_factory=dict)
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Leaving:
    """When a machine ends itself, in seconds. `idle`: without a task; None: never. `confirm`: the published demand must
    have been nil in two readings more than so far apart, which are made every `reading`; 0: nobody looks at it.
    `parting`: what going takes."""

    idle: float | None = None
    confirm: float = 0.0
    reading: float = 6.0
    parting: float = 8.0


class Policy(Protocol):
    """`interval`: seconds between two steps. `scales_in`: fewer machines than there are end some. `protects`: but none
    that has a task."""

    name: str
    interval: float
    leaving: Leaving
    scales_in: bool
    protects: bool

    def step(self, sight: Sight) -> Orders: ...
