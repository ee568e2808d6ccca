"""How many machines the work deserves. Pure: a function of what is seen, so on level and never on events.

For each load of tasks: so many machines that it ends as soon as that is worth their boots (`controller.worth`). Tasks
that take longer than that need a slot each; of tasks that take seconds, one slot does many.
What a machine holds at a time follows from the tasks' shape. What runs has its machine, and more are asked for only
for tasks that one could begin. Machines that were asked for and are not there yet count, unless none are to be had;
machines that are about to leave do not. A machine counts once, however many queues it serves. Nobody is ever scaled in:
machines end themselves. Only what was asked for in vain is taken back, if it is not needed or to be had elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.demand import Load
from controller.horizons import Stock, horizons, terms_of
from controller.model import Decision, EnvironmentCapacity, Trouble
from controller.reasons import purpose
from controller.sizing import NOTHING, machines_for
from controller.worth import spares
from runner.ports import Capacity
from runner.records import Backlog
from runner.routing import LOCAL, Routes
from runner.settings import FleetSettings
from runner.units import format_duration
from runner.wording import counted

# Counts older than this say nothing that a decision could rest on, in seconds.
STALE = 120.0

# An environment without capacity is left alone for so long after its latest failure, in seconds: as long as it has
# been failing, within these bounds.
FIRST_BACKOFF = 300.0
LONGEST_BACKOFF = 1800.0

# SQS hands out no more than 120,000 messages of a queue at a time, and then nothing, without saying so.
MOST_IN_FLIGHT = 118_000


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
    """One environment while loads are laid on it. `limit`: the most machines that may take work. `paid`: so many of
    them are within the ceiling's budget already. `taken`: of each load, which part."""

    capacity: EnvironmentCapacity
    machine: Capacity
    price: float
    there: int
    leaving: int
    blocked: str
    used: float = 0.0
    taken: dict[Load, float] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)

    @property
    def supply(self) -> int:
        return max(0, self.there - self.leaving)

    @property
    def limit(self) -> int:
        return max(0, self.capacity.maximum - self.leaving)

    @property
    def asked(self) -> int:
        """What is not to be had is not waited for, so that it is asked for anew once it may be had again."""
        return self.there if self.blocked else self.capacity.desired

    @property
    def paid(self) -> int:
        return max(0, self.asked - self.leaving)

    @property
    def stock(self) -> Stock:
        """As many as are asked for, where none can be had now."""
        most = min(self.limit, self.capacity.desired - self.leaving) if self.blocked else self.limit
        return Stock(self.machine, self.price, self.supply, max(self.supply, most))

    @property
    def machines(self) -> int:
        return max(self.supply, math.ceil(self.used - NOTHING))

    def decision(self) -> Decision:
        wanted = max(math.ceil(self.used - NOTHING) + self.leaving, self.capacity.minimum)
        desired = max(self.asked, min(wanted, self.capacity.maximum))
        return Decision(desired, "; ".join([self._purpose(), *dict.fromkeys(self.limits)]))

    def _purpose(self) -> str:
        if not self.taken:
            return self.blocked or "nothing to do"
        return purpose(math.ceil(self.used - NOTHING), self.taken, self.machine)


class _Planning:
    """Lays one load after the other on the environments, first on machines there are, then on more of them."""

    def __init__(self, picture: Picture, fleet: FleetSettings) -> None:
        self._picture = picture
        self._fleet = fleet
        self._plans = {
            name: self._plan(each, fleet.environments[name].price or 0.0)
            for name, each in picture.capacity.items()
        }
        spent = sum(plan.price * plan.asked for plan in self._plans.values())
        self._budget = math.inf if fleet.ceiling is None else fleet.ceiling - spent
        priorities = picture.routes.channels
        self._loads = sorted(picture.loads, key=lambda load: -priorities[load.channel])
        self._horizons = horizons(
            self._loads,
            {name: plan.stock for name, plan in self._plans.items()},
            picture.routes.environments_of,
            fleet.hour_of_waiting,
            fleet.boot,
        )

    def decisions(self) -> Mapping[str, Decision]:
        for load in self._loads:
            self._keep(load)
        for load in self._loads:
            self._lay(load)
        for plan in self._plans.values():
            self._spare(plan)
        return {name: plan.decision() for name, plan in self._plans.items()}

    def _plan(self, capacity: EnvironmentCapacity, price: float) -> _Plan:
        leaving = self._picture.leaving.get(capacity.name, 0)
        blocked, there = "", capacity.desired
        trouble = capacity.trouble
        if trouble is not None and self._picture.now < retry_at(trouble):
            left = format_duration(math.ceil(retry_at(trouble) - self._picture.now))
            blocked = f"no more machines to be had, looked at again in {left}: {trouble.reason}"
        if trouble is not None:
            there = min(there, capacity.running + capacity.pending)  # the others are not coming
        return _Plan(
            capacity=capacity,
            machine=self._picture.routes.machine(capacity.name),
            price=price,
            there=there,
            leaving=leaving,
            blocked=blocked,
        )

    def _keep(self, load: Load) -> None:
        """Lay what runs on machines there are. They may hold more than the smallest of their environment, which is all
        that is known of them; so what seems to have no room has it all the same."""
        left = min(1.0, load.running / load.parallel)
        plans = self._plans_of(load)
        for plan in plans:
            left -= self._take(plan, load, left, self._free)
        if left > NOTHING and (running := [plan for plan in plans if plan.there]):
            running[0].taken[load] = running[0].taken.get(load, 0.0) + left

    def _lay(self, load: Load) -> None:
        """Lay what waits on machines there are, then on more of them."""
        plans = self._plans_of(load)
        left = load.waiting / load.parallel
        for plan in plans:
            left -= self._take(plan, load, left, self._free)
            if load.hidden:
                plan.limits.append(
                    f"{counted(load.hidden, 'task')} of {load.channel} waiting for another try"
                )
        if self._clogged(load.channel):
            for plan in plans:
                plan.limits.append(f"more would find nothing: {load.channel} is full in flight")
            return
        for plan in plans:
            left -= self._take(plan, load, left, self._obtainable)
        if left > NOTHING:
            for plan in plans:
                plan.limits.append(self._limit(plan))
                left -= self._take(plan, load, left, self._hoped_for)

    def _spare(self, plan: _Plan) -> None:
        """Where none is there yet."""
        if plan.there or plan.leaving:
            return
        terms = terms_of(plan.stock, self._fleet.hour_of_waiting, self._fleet.boot)
        room = math.floor(self._obtainable(plan) - (plan.machines - plan.used) + NOTHING)
        more = min(spares(plan.machines, terms), room)
        if more > 0:
            plan.used += more
            self._budget -= plan.price * more
            plan.limits.append(f"{more} more than have work, as the first to come up begin")

    def _plans_of(self, load: Load) -> Sequence[_Plan]:
        names = self._picture.routes.environments_of(load.channel)
        return [self._plans[name] for name in names if name in self._plans]

    def _take(self, plan: _Plan, load: Load, left: float, room: Callable[[_Plan], float]) -> float:
        """Lay what is left of the load, a fraction, on the environment as far as it has room. Returns what it took."""
        whole = machines_for(load, plan.machine, self._horizons[load.channel])
        taken = min(left * whole, max(0.0, room(plan)))
        if taken <= NOTHING * whole:
            return 0.0
        before = max(plan.machines, plan.paid)
        plan.used += taken
        self._budget -= plan.price * (max(plan.machines, plan.paid) - before)
        plan.taken[load] = plan.taken.get(load, 0.0) + taken / whole
        return taken / whole

    def _free(self, plan: _Plan) -> float:
        return plan.supply - plan.used

    def _obtainable(self, plan: _Plan) -> float:
        return 0.0 if plan.blocked else self._affordable(plan, plan.limit)

    def _hoped_for(self, plan: _Plan) -> float:
        """What was asked for in vain goes on being asked for, if there is nowhere else to turn to: whenever there is a
        machine again, the work is not the last to have it."""
        return (
            self._affordable(plan, min(plan.limit, plan.capacity.desired - plan.leaving))
            if plan.blocked
            else 0.0
        )

    def _affordable(self, plan: _Plan, limit: int) -> float:
        affordable = max(0.0, self._budget / plan.price) if plan.price else math.inf
        affordable = math.floor(min(affordable, plan.limit) + NOTHING)
        most = min(limit, max(plan.machines, plan.paid) + affordable)
        return max(plan.machines, most) - plan.used

    def _limit(self, plan: _Plan) -> str:
        if plan.blocked:
            return plan.blocked
        if plan.machines >= plan.limit:
            return f"at its maximum of {plan.capacity.maximum}"
        return f"another would cost more than the ceiling of ${self._fleet.ceiling:g} an hour"

    def _clogged(self, channel: str) -> bool:
        return self._picture.backlog[channel].in_flight >= MOST_IN_FLIGHT
