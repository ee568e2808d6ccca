"""How many machines the work deserves. Pure: a function of what is seen, so on level and never on events.

For each load of tasks: so many machines that, once they are up, it ends within the time that a machine needs to boot,
and a horizon more. Tasks that take longer than that need a slot each; of tasks that take seconds, one slot does many.
What a machine holds at a time follows from the tasks' shape. Machines that were asked for and are not there yet count,
machines that are about to leave do not. A machine counts once, however many queues it serves. Nobody is ever scaled in:
machines end themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.demand import Load
from controller.model import Decision, EnvironmentCapacity, Trouble
from runner.ports import Capacity
from runner.records import Backlog
from runner.routing import LOCAL, Routes
from runner.settings import FleetSettings
from runner.units import format_duration

# Counts older than this say nothing that a decision could rest on, in seconds.
STALE = 120.0

# What a task is taken to need until the first has ended, in seconds; and so many machines are worth it even if it
# then turns out to be less.
ASSUMED = 60.0
TRIAL = 50

# Part of a machine: however short the tasks are, somebody must do them.
LEAST = 0.01

# An environment without capacity is left alone for so long after its latest failure, in seconds: as long as it has
# been failing, within these bounds.
FIRST_BACKOFF = 300.0
LONGEST_BACKOFF = 1800.0

# SQS hands out no more than 120,000 messages of a queue at a time, and then nothing, without saying so.
MOST_IN_FLIGHT = 118_000

# In a reason.
SHOWN_LOADS = 3

# Fractions of a machine do not add up exactly in binary.
NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Picture:
    """What a decision rests on. `leaving`: by environment, machines that are there and take no more work."""

    loads: Sequence[Load]
    routes: Routes
    capacity: Mapping[str, EnvironmentCapacity]
    backlog: Mapping[str, Backlog]
    now: float
    leaving: Mapping[str, int] = field(default_factory=dict)


def decide(picture: Picture) -> Mapping[str, Decision]:
    """By environment."""
    fleet = picture.routes.fleet
    if fleet is None:
        demand = sum(load.tasks for load in picture.loads)
        return {LOCAL: local(demand, picture.capacity[LOCAL])}
    if held := _held(picture):
        return {name: Decision(each.desired, held) for name, each in picture.capacity.items()}
    return _Planning(picture, fleet).decisions()


def local(demand: int, capacity: EnvironmentCapacity) -> Decision:
    """For agents on one machine: as many as there may be while there is anything to do, and never fewer than run."""
    if demand == 0:
        return Decision(capacity.running, "nothing to do")
    desired = max(capacity.running, min(demand, capacity.maximum))
    return Decision(desired, f"{demand} tasks wait or run; at most {capacity.maximum} agents")


def retry_at(trouble: Trouble) -> float:
    """When an environment that had no capacity may be asked again."""
    return trouble.last + min(LONGEST_BACKOFF, max(FIRST_BACKOFF, trouble.last - trouble.since))


def machines_for(load: Load, machine: Capacity, within: float) -> float:
    """How many machines, of which each holds `machine`, do the load within so many seconds. Not rounded."""
    slots = slots_of(load, machine)
    needed = load.tasks / slots * min(1.0, seconds_of(load) / within)
    needed = max(needed, LEAST if load.seconds is not None else TRIAL)
    return min(needed, load.parallel / slots)


def seconds_of(load: Load) -> float:
    """How long one of its tasks is taken to need."""
    return max(ASSUMED, load.at_least) if load.seconds is None else load.seconds


def slots_of(load: Load, machine: Capacity) -> int:
    by_memory = machine.memory / load.memory if load.memory else math.inf
    return max(1, int(min((machine.vcpus + NOTHING) / load.vcpus, by_memory)))


def _held(picture: Picture) -> str:
    for channel in picture.routes.channels:
        depth = picture.backlog.get(channel)
        if depth is None:
            return f"held: the depth of {channel} is not known"
        if picture.now - depth.as_of > STALE:
            age = format_duration(round(picture.now - depth.as_of))
            return f"held: the depth of {channel} was last seen {age} ago"
    return ""


@dataclass
class _Plan:
    """One environment while loads are laid on it. `limit`: the most machines that may take work."""

    capacity: EnvironmentCapacity
    machine: Capacity
    price: float
    supply: int
    limit: int
    leaving: int
    blocked: str
    used: float = 0.0
    taken: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    @property
    def machines(self) -> int:
        return max(self.supply, math.ceil(self.used - NOTHING))

    def decision(self) -> Decision:
        wanted = max(math.ceil(self.used - NOTHING) + self.leaving, self.capacity.minimum)
        desired = max(self.capacity.desired, min(wanted, self.capacity.maximum))
        return Decision(desired, "; ".join([self._purpose(), *dict.fromkeys(self.limits)]))

    def _purpose(self) -> str:
        if not self.taken:
            return self.blocked or "nothing to do"
        shown = [*self.taken[:SHOWN_LOADS], *(["others"] if len(self.taken) > SHOWN_LOADS else [])]
        needed = math.ceil(self.used - NOTHING)
        return f"{needed} machine{'' if needed == 1 else 's'} for {', '.join(shown)}"


class _Planning:
    """Lays one load after the other on the environments, first on machines there are, then on more of them."""

    def __init__(self, picture: Picture, fleet: FleetSettings) -> None:
        self._picture = picture
        self._within = fleet.boot + fleet.horizon
        self._ceiling = fleet.ceiling
        self._plans = {
            name: self._plan(each, fleet.environments[name].price or 0.0)
            for name, each in picture.capacity.items()
        }
        spent = sum(plan.price * plan.capacity.desired for plan in self._plans.values())
        self._budget = math.inf if fleet.ceiling is None else fleet.ceiling - spent

    def decisions(self) -> Mapping[str, Decision]:
        priorities = self._picture.routes.channels
        for load in sorted(self._picture.loads, key=lambda load: -priorities[load.channel]):
            self._lay(load)
        return {name: plan.decision() for name, plan in self._plans.items()}

    def _plan(self, capacity: EnvironmentCapacity, price: float) -> _Plan:
        leaving = self._picture.leaving.get(capacity.name, 0)
        blocked, there = "", capacity.desired
        trouble = capacity.trouble
        if trouble is not None and self._picture.now < retry_at(trouble):
            left = format_duration(math.ceil(retry_at(trouble) - self._picture.now))
            blocked = f"no more machines to be had, looked at again in {left}: {trouble.reason}"
            there = min(there, capacity.running + capacity.pending)  # the others are not coming
        return _Plan(
            capacity=capacity,
            machine=self._picture.routes.machine(capacity.name),
            price=price,
            supply=max(0, there - leaving),
            limit=max(0, capacity.maximum - leaving),
            leaving=leaving,
            blocked=blocked,
        )

    def _lay(self, load: Load) -> None:
        names = [name for name in self._picture.routes.environments_of(load.channel) if name in self._plans]
        left = 1.0
        for name in names:
            left -= self._take(self._plans[name], load, left, self._free)
        if self._clogged(load.channel):
            for name in names:
                self._plans[name].limits.append(f"more would find nothing: {load.channel} is full in flight")
            return
        for name in names:
            left -= self._take(self._plans[name], load, left, self._obtainable)
        if left > NOTHING:
            for name in names:
                self._plans[name].limits.append(self._limit(self._plans[name]))

    def _take(self, plan: _Plan, load: Load, left: float, room: Callable[[_Plan], float]) -> float:
        """Lay what is left of the load, a fraction, on the environment as far as it has room. Returns what it took."""
        whole = machines_for(load, plan.machine, self._within)
        taken = min(left * whole, max(0.0, room(plan)))
        if taken <= NOTHING * whole:
            return 0.0
        before = plan.machines
        plan.used += taken
        self._budget -= plan.price * (plan.machines - before)
        plan.taken.append(_described(load, plan.machine, taken / whole))
        return taken / whole

    def _free(self, plan: _Plan) -> float:
        return plan.supply - plan.used

    def _obtainable(self, plan: _Plan) -> float:
        if plan.blocked:
            return 0.0
        affordable = self._budget / plan.price if plan.price else math.inf
        more = max(0, min(plan.limit - plan.machines, math.floor(min(affordable, plan.limit) + NOTHING)))
        return plan.machines + more - plan.used

    def _limit(self, plan: _Plan) -> str:
        if plan.blocked:
            return plan.blocked
        if plan.machines >= plan.limit:
            return f"at its maximum of {plan.capacity.maximum}"
        return f"another would cost more than the ceiling of ${self._ceiling:g} an hour"

    def _clogged(self, channel: str) -> bool:
        return self._picture.backlog[channel].in_flight >= MOST_IN_FLIGHT


def _described(load: Load, machine: Capacity, part: float) -> str:
    each = format_duration(round(seconds_of(load), 1))
    about = (
        f"about {each} each" if load.seconds is not None else f"not seen to end yet, taken for {each} each"
    )
    at_a_time = slots_of(load, machine)
    return f"{max(1, round(load.tasks * part))} tasks of {load.channel} ({at_a_time} at a time, {about})"
