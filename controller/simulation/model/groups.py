"""Machines by compute environment, as an Auto Scaling group keeps them: launched until there are as many as desired."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from controller.model import EnvironmentCapacity, Instance, Trouble
from controller.simulation.model.agenda import Agenda
from controller.simulation.model.conditions import HOUR, Conditions
from controller.simulation.model.floor import Floor
from controller.simulation.model.machines import Machine, State
from runner.ports import Capacity
from runner.settings import SPOT, Environment

SHORT = "InsufficientInstanceCapacity"
# From a spot notice, in seconds: what runs then is interrupted, so that its message is free before the machine goes.
NOTICE = 95.0

# Reclaims an hour that are none: not once in a hundred thousand years.
NEVER = 1e-9


class Group:
    """One environment's. `boots` are the seconds its launches took so far, in their order."""

    def __init__(
        self,
        environment: Environment,
        holds: Capacity,
        conditions: Conditions,
        agenda: Agenda,
        floor: Floor,
        seed: str,
        changed: Callable[[], None],
    ) -> None:
        self.environment = environment
        self._holds = holds
        self._conditions = conditions
        self._agenda = agenda
        self._floor = floor
        self._changed = changed
        self._boots = Random(f"{seed}/boots/{environment.name}")
        self._fates = Random(f"{seed}/fates/{environment.name}")
        self._trouble: Trouble | None = None
        self._retrying = False
        self._seen: EnvironmentCapacity | None = None
        self.desired = 0
        self.alive: dict[Machine, None] = {}
        self.all: list[Machine] = []
        self.lost_to_scaling = 0

    def resize(self, desired: int, *, shrink: bool, spare_busy: bool) -> None:
        """`shrink`: fewer machines than there are end some; else only those that never came are taken back."""
        wanted = max(self.environment.minimum, min(desired, self.environment.maximum))
        if not shrink:
            wanted = max(wanted, len(self.alive) if self._trouble else self.desired)
        if wanted == self.desired:
            return
        self.desired = wanted
        if shrink:
            self._shrink(spare_busy)
        self._fill()

    def capacity(self) -> EnvironmentCapacity:
        if self._seen is None:
            there = [machine for machine in self.alive if machine.state is not State.GONE]
            up = sum(machine.state is not State.BOOTING for machine in there)
            self._seen = EnvironmentCapacity(
                name=self.environment.name,
                desired=self.desired,
                running=up,
                pending=len(there) - up,
                minimum=self.environment.minimum,
                maximum=self.environment.maximum,
                instances=[Instance(str(each.number), each.state is not State.BOOTING) for each in there],
                trouble=self._trouble,
            )
        return self._seen

    @property
    def leaving(self) -> int:
        return sum(machine.state is State.LEAVING for machine in self.alive)

    def retire(self, machine: Machine, parting: float) -> None:
        """It ends itself, and with it goes its place in the group."""
        self.desired -= 1
        self._floor.withdraw(machine, State.GONE)
        self._end(machine, parting)

    def notify(self, machine: Machine) -> None:
        """The machine is reclaimed."""
        if machine.state is State.BOOTING:
            machine.state = State.GONE
            self._end(machine, 0.0)
            self._fill()
        elif machine.state is State.OPEN:
            self._floor.withdraw(machine, State.LEAVING)
            self._touch()
            self._agenda.at(self._agenda.now + NOTICE, self._reclaim, machine)
            if machine.idle:
                self.retire(machine, 0.0)

    def _reclaim(self, machine: Machine) -> None:
        if machine.state is State.LEAVING:
            self._floor.interrupt(machine)
            self.retire(machine, 0.0)

    def _shrink(self, spare_busy: bool) -> None:
        staying = [machine for machine in self.alive if machine.state in (State.OPEN, State.BOOTING)]
        excess = len(staying) - self.desired
        if excess <= 0:
            return
        for machine in sorted(staying, key=_worth)[:excess]:
            if machine.idle or not spare_busy:
                self.lost_to_scaling += self._floor.interrupt(machine)
                self._floor.withdraw(machine, State.GONE)
                self._end(machine, 0.0)

    def _fill(self) -> None:
        self._touch()
        while len(self.alive) < self.desired:
            if len(self.alive) >= self._conditions.obtainable(self.environment.name, self._agenda.now):
                self._fail()
                return
            self._trouble = None
            self._launch()

    def _fail(self) -> None:
        now = self._agenda.now
        since = now if self._trouble is None else self._trouble.since
        self._trouble = Trouble(SHORT, since, now)
        if not self._retrying:
            self._retrying = True
            self._agenda.at(now + self._conditions.retry, self._retry)

    def _retry(self) -> None:
        self._retrying = False
        self._fill()

    def _launch(self) -> None:
        now, conditions = self._agenda.now, self._conditions
        boot = _boot(conditions, self._boots)
        machine = Machine(
            len(self.all), self.environment.name, now, now + boot, self._holds.vcpus, self._holds.memory
        )
        self.all.append(machine)
        self.alive[machine] = None
        self._agenda.at(machine.ready, self._come_up, machine)
        if (life := _life(conditions, self.environment, self._fates)) < math.inf:
            self._agenda.at(now + life, self.notify, machine)

    def _come_up(self, machine: Machine) -> None:
        if machine.state is State.BOOTING:
            self._touch()
            self._floor.admit(machine)

    def _end(self, machine: Machine, parting: float) -> None:
        machine.ended = max(self._agenda.now + parting, machine.launched + self._conditions.minimum_billed)
        del self.alive[machine]
        self._touch()

    def _touch(self) -> None:
        self._seen = None
        self._changed()


def _worth(machine: Machine) -> tuple[int, float]:
    """Of those that have to go the first is the one that is idle the longest, then the one launched last."""
    if machine.state is State.OPEN and machine.idle:
        return 0, machine.idle_since
    return (1 if machine.idle else 2), -machine.launched


def draws(
    conditions: Conditions, environment: Environment, seed: str, count: int
) -> list[tuple[float, float]]:
    """Of the environment's first launches in a run of that seed, how long each boots, and after how long it is
    reclaimed; both in seconds."""
    boots = Random(f"{seed}/boots/{environment.name}")
    fates = Random(f"{seed}/fates/{environment.name}")
    return [(_boot(conditions, boots), _life(conditions, environment, fates)) for _ in range(count)]


def _boot(conditions: Conditions, random: Random) -> float:
    return conditions.boot * (1 + conditions.jitter * random.uniform(-1, 1))


def _life(conditions: Conditions, environment: Environment, random: Random) -> float:
    """Infinite: it is not reclaimed."""
    if conditions.hazard < NEVER or environment.market != SPOT:
        return math.inf
    return random.expovariate(conditions.hazard / HOUR)
