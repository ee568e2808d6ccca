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
        # By environment: since when what was published says that nothing waits for it.
        self._quiet_since = dict.fromkeys(groups, math.inf)
        self._phases: dict[Machine, float] = {}

    def publish(self, waiting: Mapping[str, int]) -> None:
        """By channel."""
        for name, group in self._groups.items():
            if any(waiting.get(channel) for channel in self._channels[name]):
                self._quiet_since[name] = math.inf
            elif self._quiet_since[name] == math.inf:
                self._quiet_since[name] = self._agenda.now
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
        if self._terms.idle is None:
            return math.inf
        idle_until = machine.idle_since + self._terms.idle
        if not self._terms.confirm:
            return idle_until
        return self._reading(machine, max(idle_until, self._confirmed(machine)))

    def _confirmed(self, machine: Machine) -> float:
        """When two readings lie far enough apart; the first may have been made while the machine worked."""
        quiet = max(self._quiet_since[machine.environment], machine.ready)
        return self._reading(machine, quiet) + self._terms.confirm

    def _reading(self, machine: Machine, after: float) -> float:
        """The machine's next."""
        if after == math.inf:
            return after
        if machine not in self._phases:
            self._phases[machine] = self._random.uniform(0, self._terms.reading)
        phase, every = self._phases[machine], self._terms.reading
        return phase + every * math.ceil((after - phase) / every)
