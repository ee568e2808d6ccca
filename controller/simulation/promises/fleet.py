"""Promises about machines: scaling ends no task, and once the faults stop all work is done and the machines go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.simulation.history import Event
from controller.simulation.promises.rounds import Rounds
from controller.simulation.promises.rule import TERMINAL, End, Rule, See, job_of, machine_of
from runner.agent.upkeep import GIVEN_UP_AFTER
from runner.model import Kind

# In seconds: what a step of the supervisor takes at most, from reading the jobs to publishing their demand, where
# every reply is late; jobs that came within it may not be counted yet.
STEP = 120.0


@dataclass
class NoneScaledIn(Rule):
    """Promise 6: no scaling action ends a running task.

    Seen at the groups and the engines: no container goes with its machine, and none is interrupted, unless EC2 took the
    machine, its engine was away for longer than anybody waits, or a person stopped its agent; each instance takes one
    from the desired capacity at most; nobody asks for fewer than are in service.
    """

    _taken: set[str] = field(default_factory=set)
    _stopped: set[str] = field(default_factory=set)
    _decrements: Counter[str] = field(default_factory=Counter)
    _in_service: dict[str, str] = field(default_factory=dict)

    @property
    def handlers(self) -> Mapping[str, See]:
        return {
            "reclaimed": self._see_taken,
            "lost": self._see_taken,
            "engine-trouble": self._see_trouble,
            "agent-asked-to-stop": self._see_stopped,
            "container-ended": self._see_ended,
            "recorded": self._see_recorded,
            "in-service": self._see_in_service,
            "Terminating": self._see_terminating,
            "desired": self._see_desired,
        }

    def _see_taken(self, event: Event) -> None:
        self._taken.add(event.subject)

    def _see_trouble(self, event: Event) -> None:
        if event.more["seconds"] > GIVEN_UP_AFTER:
            self._taken.add(event.subject)

    def _see_stopped(self, event: Event) -> None:
        self._stopped.add(event.subject)

    def _see_in_service(self, event: Event) -> None:
        self._in_service[event.subject] = event.more["group"]

    def _see_terminating(self, event: Event) -> None:
        self._in_service.pop(event.subject, None)

    def _see_ended(self, event: Event) -> None:
        if event.more["how"] == "machine" and event.by not in self._taken:
            self.broken(6, event.subject, "its machine was ended while it ran", event)

    def _see_recorded(self, event: Event) -> None:
        machine = machine_of(event.by)
        if event.more["kind"] == Kind.INTERRUPTED and machine not in self._taken | self._stopped:
            self.broken(6, event.subject, "interrupted on a machine that nobody took or stopped", event)

    def _see_desired(self, event: Event) -> None:
        if event.more["now"] >= event.more["before"]:
            return
        if "/agent" not in event.by:
            there = sum(1 for group in self._in_service.values() if group == event.subject)
            if event.by and event.more["now"] < there:
                self.broken(6, event.subject, f"{there} are in service, and fewer are asked for", event)
            return
        machine = machine_of(event.by)
        self._decrements[machine] += event.more["before"] - event.more["now"]
        if self._decrements[machine] > 1:
            self.broken(6, machine, "took more than itself from the desired capacity", event)


@dataclass
class NotDrained(Rule):
    """What promises 5 and 6 need: nobody says that there is nothing left to do while there is.

    Seen in the ledger: whoever leads publishes no demand of nil while a job that may run has tasks that have not ended.
    """

    rounds: Rounds = field(default_factory=Rounds)
    _left: dict[str, int] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _terminal: set[str] = field(default_factory=set)

    @property
    def handlers(self) -> Mapping[str, See]:
        own: dict[str, See] = {
            "registered": self._see_registered,
            "released": self._see_released,
            "reopened": self._see_released,
            "recorded": self._see_recorded,
            "begun": self._see_begun,
            "ended": self._see_ended,
            "published": self._see_published,
        }
        return own

    def _see_registered(self, event: Event) -> None:
        self._left.setdefault(event.subject, event.more["size"])
        if not event.more["waits"]:
            self._since.setdefault(event.subject, event.at)

    def _see_released(self, event: Event) -> None:
        self._since[event.subject] = event.at

    def _see_begun(self, event: Event) -> None:
        if event.subject in self._terminal:
            self._terminal.discard(event.subject)
            self._left[job_of(event.subject)] += 1

    def _see_recorded(self, event: Event) -> None:
        if event.more["status"] in TERMINAL and event.subject not in self._terminal:
            self._terminal.add(event.subject)
            self._left[job_of(event.subject)] -= 1

    def _see_ended(self, event: Event) -> None:
        self._since.pop(event.subject, None)

    def _see_published(self, event: Event) -> None:
        if event.more["demand"]:
            return
        for job, since in self._since.items():
            if self._left[job] > 0 and event.at - since > STEP:
                self.broken(
                    5, job, f"{self._left[job]} tasks are left, and the demand is said to be nil", event
                )


@dataclass
class Recovered(Rule):
    """Promise 5: once faults stop, the backlog drains and the fleet returns to its minimum, in bounded time.

    Seen in the end. And nothing crashed: what the product did not expect to happen is not what it recovers from.
    """

    @property
    def handlers(self) -> Mapping[str, See]:
        return {"says": self._see_said, "controller-crashed": self._see_crashed}

    def _see_crashed(self, event: Event) -> None:
        self.broken(5, event.subject, f"crashed: {event.more['error']}", event)

    def _see_said(self, event: Event) -> None:
        if "crash" in event.more or event.more["level"] == "critical":
            self.broken(5, event.by, f"crashed: {event.more.get('crash', event.subject)}", event)

    def end(self, end: End) -> None:
        for job in end.unfinished:
            self.broken(5, job, f"has not ended at {end.at:.0f} s, long after the last fault")
        for machine in end.machines:
            self.broken(5, machine, f"is still there at {end.at:.0f} s, long after the last task")
