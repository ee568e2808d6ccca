"""What others do, as exact formulas over the queue's counts: V visible, N in flight, D desired, I in service, s slots.

They are given what they need and the best of it: counts of their own channel alone, scale-in that takes idle machines
first, where they use it the mean duration of tasks as this project is told it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from controller.simulation.model.policy import Leaving, Orders, Sight
from runner.routing import Routes

BUILDKITE_IDLE = 600.0
BUILDKITE_POLL = 10.0
HPA_POLL = 30.0
HPA_TOLERANCE = 0.1
HPA_WINDOW = 300.0
ALARM = 60.0
ALARM_OUT = 3
ALARM_IN = 15
ALARM_LOW = 0.9


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one environment. `seconds`: a task's mean; None: not known."""

    now: float
    visible: int
    in_flight: int
    desired: int
    in_service: int
    maximum: int
    slots: float
    seconds: float | None

    @property
    def all(self) -> int:
        return self.visible + self.in_flight

    @property
    def exact(self) -> int:
        """A slot for each."""
        return math.ceil(self.all / self.slots)


class Baseline:
    """One formula, an instance of it for each environment."""

    interval = BUILDKITE_POLL
    leaving = Leaving()
    scales_in = False
    protects = True
    # What it wants follows from what it sees alone, not from when or how often it looks.
    timeless = True
    name = ""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def step(self, sight: Sight) -> Orders:
        desired = {name: self.desired(name, self._counts(sight, name)) for name in sight.capacity}
        return Orders(desired, until=math.inf if self.timeless else 0.0)

    def desired(self, environment: str, counts: Counts) -> int:
        raise NotImplementedError

    def _counts(self, sight: Sight, environment: str) -> Counts:
        capacity = sight.capacity[environment]
        depth = [sight.depth[channel] for channel in self._routes.channels_of(environment)]
        return Counts(
            now=sight.now,
            visible=sum(each.visible for each in depth),
            in_flight=sum(each.in_flight for each in depth),
            desired=capacity.desired,
            in_service=capacity.running,
            maximum=capacity.maximum,
            slots=_slots(sight, self._routes, environment),
            seconds=_seconds(sight),
        )


class Static(Baseline):
    """D = M until all is done."""

    name = "static maximum"
    scales_in = True

    def __init__(self, routes: Routes, last_arrival: float) -> None:
        super().__init__(routes)
        self._last_arrival = last_arrival

    def step(self, sight: Sight) -> Orders:
        over = sight.now >= self._last_arrival and not sight.jobs
        desired = {name: 0 if over else each.maximum for name, each in sight.capacity.items()}
        return Orders(desired, until=math.inf)  # what comes last is a change


class Exact(Baseline):
    """D ← max(D, ceil((V + N) / s)); who is idle for so long ends itself (Buildkite's; ski rental with idle = boot)."""

    def __init__(self, routes: Routes, name: str, idle: float) -> None:
        super().__init__(routes)
        self.name = name
        self.leaving = Leaving(idle=idle)

    def desired(self, environment: str, counts: Counts) -> int:  # noqa: ARG002
        return max(counts.desired, min(counts.maximum, counts.exact))


class Hpa(Baseline):
    """KEDA's aws-sqs-queue scaler with the horizontal pod autoscaler's defaults: r = ceil((V + N) / q) every 30 s,
    nothing within a tenth of the target, up at once, down to the most of the last 300 s. It does not know who works.
    """

    interval = HPA_POLL
    scales_in = True
    protects = False
    timeless = False

    def __init__(self, routes: Routes, name: str, per_machine: float | None) -> None:
        super().__init__(routes)
        self.name = name
        self._per_machine = per_machine
        self._asked: dict[str, deque[tuple[float, int]]] = {}

    def desired(self, environment: str, counts: Counts) -> int:
        target = self._per_machine or counts.slots
        wanted = min(counts.maximum, math.ceil(counts.all / target))
        if counts.desired and abs(counts.all / (target * counts.desired) - 1) <= HPA_TOLERANCE:
            wanted = counts.desired
        asked = self._asked.setdefault(environment, deque())
        asked.append((counts.now, wanted))
        while asked[0][0] <= counts.now - HPA_WINDOW:
            asked.popleft()
        return wanted if wanted >= counts.desired else min(counts.desired, max(most for _, most in asked))


class TargetTracking(Baseline):
    """AWS's backlog per instance b = V / I against b* = L / p, each minute: three times above it D = ceil(V / b*),
    fifteen times below 0.9 of it the same, those that work protected. From nothing the first machine comes at once."""

    interval = ALARM
    scales_in = True
    timeless = False

    def __init__(self, routes: Routes, latency: float, assumed: float) -> None:
        super().__init__(routes)
        self.name = f"target tracking, {latency:g} s"
        self._latency = latency
        self._assumed = assumed
        self._above: dict[str, int] = {}
        self._below: dict[str, int] = {}

    def desired(self, environment: str, counts: Counts) -> int:
        seconds = (self._assumed if counts.seconds is None else counts.seconds) / counts.slots
        acceptable = max(1.0, self._latency / seconds)
        if not counts.in_service:
            return max(counts.desired, 1 if counts.all else 0)
        backlog = counts.visible / counts.in_service
        self._above[environment] = self._above.get(environment, 0) + 1 if backlog > acceptable else 0
        low = backlog < ALARM_LOW * acceptable
        self._below[environment] = self._below.get(environment, 0) + 1 if low else 0
        wanted = min(counts.maximum, math.ceil(counts.visible / acceptable))
        if self._above[environment] >= ALARM_OUT:
            return max(counts.desired, wanted)
        if self._below[environment] >= ALARM_IN:
            return min(counts.desired, max(wanted, 1 if counts.all else 0))
        return counts.desired


class DrainHorizon(Baseline):
    """D = ceil((V + N) · p / (s · H)): all that is there is to be done within H; but no more than a slot for each."""

    def __init__(self, routes: Routes, horizon: float, idle: float, assumed: float) -> None:
        super().__init__(routes)
        self.name = f"drain within {horizon:g} s"
        self.leaving = Leaving(idle=idle)
        self._horizon = horizon
        self._assumed = assumed

    def desired(self, environment: str, counts: Counts) -> int:  # noqa: ARG002
        seconds = self._assumed if counts.seconds is None else counts.seconds
        wanted = math.ceil(counts.all * seconds / (counts.slots * self._horizon))
        return max(counts.desired, min(counts.maximum, counts.exact, wanted))


class Naive(Baseline):
    """The negative control: D ← D + V, whoever is on the way already."""

    name = "ignores pending"
    leaving = Leaving(idle=BUILDKITE_IDLE)

    def desired(self, environment: str, counts: Counts) -> int:  # noqa: ARG002
        return min(counts.maximum, counts.desired + math.ceil(counts.visible / counts.slots))


def all_of(routes: Routes, last_arrival: float, boot: float, assumed: float) -> Mapping[str, Baseline]:
    """`assumed`: seconds a task is taken to need where nothing is known."""
    every = [
        Static(routes, last_arrival),
        Exact(routes, "exact, idle 600 s", BUILDKITE_IDLE),
        Exact(routes, "exact, idle = boot", boot),
        Hpa(routes, "KEDA/HPA, q = 5", 5.0),
        Hpa(routes, "KEDA/HPA, q = slots", None),
        TargetTracking(routes, 600.0, assumed),
        DrainHorizon(routes, 300.0, boot, assumed),
        DrainHorizon(routes, 1800.0, 60.0, assumed),
        Naive(routes),
    ]
    return {each.name: each for each in every}


def _slots(sight: Sight, routes: Routes, environment: str) -> float:
    """How many of the tasks there are, on average, a machine holds at a time."""
    machine, taken, count = routes.machine(environment), 0.0, 0
    for job in sight.jobs:
        taken += job.unfinished * max(job.bag.vcpus / machine.vcpus, job.bag.memory / machine.memory)
        count += job.unfinished
    return max(1.0, math.floor(count / taken + 1e-6)) if taken else max(1.0, machine.vcpus)


def _seconds(sight: Sight) -> float | None:
    """What is known of the mean: of what has ended, before that what is told."""
    known = [(job.unfinished, job.seconds / job.ended if job.ended else job.bag.told) for job in sight.jobs]
    weighed = [(count, seconds) for count, seconds in known if seconds is not None]
    total = sum(count for count, _ in weighed)
    return sum(count * seconds for count, seconds in weighed) / total if total else None
