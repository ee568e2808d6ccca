"""When machines without work end themselves: what an agent does of it (`runner.agent.upkeep`), in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random

from controller.simulation.model.agenda import Agenda
from controller.simulation.model.groups import Group
from controller.simulation.model.machines import Machine, State
from controller.simulation.model.policy import Leaving


class Rest:
    """`groups` and `channels` by environment."""

    def __init__(
        self,
        agenda: Agenda,
        terms: Leaving,
        groups: Mapping[str, Group],
        channels: Mapping[str, Sequence[str]],
        random: Random,
    ) -> None:
        self._agenda = agenda
        self._terms = terms
        self._groups = groups
        self._channels = channels
        self._random = random
        # By environment: since when what was published says that there is nothing to do for it.
        self._quiet_since = dict.fromkeys(groups, math.inf if terms.confirm else 0.0)
        self._idle: Mapping[str, float] = {}
        self._phases: dict[Machine, float] = {}

    def publish(self, waiting: Mapping[str, int], idle: Mapping[str, float]) -> None:
        now, changed = self._agenda.now, idle != self._idle
        self._idle = idle
        for name, group in self._groups.items():
            if not self._terms.confirm:
                continue
            quiet = not any(waiting.get(channel) for channel in self._channels[name])
            begun = quiet and self._quiet_since[name] == math.inf
            if quiet != (self._quiet_since[name] != math.inf):
                self._quiet_since[name] = now if quiet else math.inf
            if begun or changed:
                for machine in list(group.alive):
                    self.consider(machine)

    def consider(self, machine: Machine) -> None:
        """It may have to go, now or later."""
        if machine.state is State.LEAVING and machine.idle:
            self._groups[machine.environment].retire(machine, 0.0)
        elif machine.state is State.OPEN and machine.idle and (due := self._due(machine)) < math.inf:
            self._agenda.at(due, self._look, machine)

    def _look(self, machine: Machine) -> None:
        if machine.state is not State.OPEN or not machine.idle:
            return
        if self._due(machine) > self._agenda.now:
            return  # whatever moved it has also entered the new time
        group = self._groups[machine.environment]
        if group.desired > group.environment.minimum:
            group.retire(machine, self._terms.parting)

    def _due(self, machine: Machine) -> float:
        idle = self._idle.get(machine.environment, self._terms.idle)
        if idle is None:
            return math.inf
        since = machine.idle_since + idle
        return max(since, self._confirmed(machine)) if self._terms.confirm else since

    def _confirmed(self, machine: Machine) -> float:
        """When the last reading is made that is needed."""
        terms = self._terms
        quiet = max(self._quiet_since[machine.environment], machine.ready)
        if not terms.overlap:
            quiet = max(quiet, machine.idle_since)
        first = quiet + self._phase(machine) * terms.reading
        return first + terms.reading * math.ceil(terms.confirm / terms.reading + 0.01)

    def _phase(self, machine: Machine) -> float:
        if machine not in self._phases:
            self._phases[machine] = self._random.random()
        return self._phases[machine]
