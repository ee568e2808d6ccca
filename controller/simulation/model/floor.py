"""Where machines take tasks: a queue for each channel, and the machines that have room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from controller.simulation.model.agenda import Agenda
from controller.simulation.model.lines import Line
from controller.simulation.model.machines import Machine, State, Task


class Floor:
    """`channels`: by environment, what its machines take from, the first served first. A machine takes what comes next;
    what does not fit it gives back, as an agent does, and asks again a little later.

    `rested` is called with each machine that has run out of work.
    """

    def __init__(
        self,
        agenda: Agenda,
        channels: Mapping[str, Sequence[str]],
        random: Random,
        rested: Callable[[Machine], None],
    ) -> None:
        self._agenda = agenda
        self._channels = channels
        self._random = random
        self._rested = rested
        every = {channel for of in channels.values() for channel in of}
        self.queues: Mapping[str, Line] = {channel: Line() for channel in sorted(every)}
        self._open: Mapping[str, list[Machine]] = {channel: [] for channel in sorted(every)}
        self.in_flight: dict[str, int] = dict.fromkeys(self.queues, 0)
        self.waits: list[float] = []
        self.wasted = 0.0
        self.first_started: float | None = None
        self.last_ended = 0.0
        self.unfinished = 0
        self.changes = 0

    def offer(self, task: Task) -> None:
        """A task whose message becomes visible."""
        self.changes += 1
        open_ = self._open[task.channel]
        while open_:
            machine = self._random.choice(open_)
            if self._give(machine, task):
                return
        self.queues[task.channel].add(task)

    def admit(self, machine: Machine) -> None:
        """A machine that came up."""
        machine.state = State.OPEN
        machine.idle_since = self._agenda.now
        self._take(machine)
        if machine.idle:
            self._rested(machine)

    def withdraw(self, machine: Machine, state: State) -> None:
        """It takes no more."""
        machine.state = state
        self._close(machine)

    def interrupt(self, machine: Machine) -> int:
        """What runs there is lost and begins anew elsewhere. Returns how many tasks that were."""
        lost = list(machine.running)
        for task in lost:
            machine.release(task, self._agenda.now)
            self.in_flight[task.channel] -= 1
            self.wasted += self._agenda.now - task.started
            task.job.running -= 1
            task.job.waiting += 1
            task.attempt += 1
        for task in lost:
            self.offer(task)
        return len(lost)

    def _give(self, machine: Machine, task: Task) -> bool:
        """Whether it took the task."""
        now = self._agenda.now
        fits = machine.fits(task)
        if fits:
            self._start(machine, task)
        else:
            machine.refuse(task, now)
            self._agenda.at(machine.asks_at, self._ask_again, machine)
        if not machine.asks(now):
            self._close(machine)
        return fits

    def _ask_again(self, machine: Machine) -> None:
        if machine.state is State.OPEN:
            self._take(machine)

    def _take(self, machine: Machine) -> None:
        """As much as there is room for."""
        now = self._agenda.now
        for channel in self._channels[machine.environment]:
            queue = self.queues[channel]
            while queue and machine.asks(now):
                task = queue.next()
                if not self._give(machine, task):
                    queue.put_back(task)
        if machine.asks(now):
            for channel in self._channels[machine.environment]:
                if machine not in self._open[channel]:
                    self._open[channel].append(machine)

    def _close(self, machine: Machine) -> None:
        for channel in self._channels[machine.environment]:
            if machine in self._open[channel]:
                self._open[channel].remove(machine)

    def _start(self, machine: Machine, task: Task) -> None:
        now, job = self._agenda.now, task.job
        self.changes += 1
        self.in_flight[task.channel] += 1
        machine.hold(task, now)
        if task.attempt == 0:
            self.waits.append(now - job.bag.arrival)
        task.attempt += 1
        task.started = now
        job.waiting -= 1
        job.running += 1
        if job.first_started is None:
            job.first_started = now
        if self.first_started is None:
            self.first_started = now
        self._agenda.at(now + task.seconds, self._end, machine, task, task.attempt)

    def _end(self, machine: Machine, task: Task, attempt: int) -> None:
        if task.attempt != attempt:
            return
        now, job = self._agenda.now, task.job
        self.changes += 1
        machine.release(task, now)
        self.in_flight[task.channel] -= 1
        job.running -= 1
        job.ended += 1
        job.seconds += task.seconds
        job.last_ended = now
        self.last_ended = now
        self.unfinished -= 1
        if machine.state is State.OPEN:
            self._take(machine)
        if machine.idle:
            self._rested(machine)
