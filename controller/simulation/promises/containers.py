"""Promises about containers: none outlives its lease by more than its grace, and no task has two."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.simulation.history import Event
from controller.simulation.promises.rule import End, Rule, See, job_of, machine_of

# In seconds: from the end of a lease to what the watchdog does about it, and the calls to the engine.
LOOKS = 5.0
# After an engine answers again until the watchdog tries again, at most.
ENGINE_AGAIN = 100.0
# Without a watchdog: the service manager kills an agent without a sign of life after three minutes, and the next comes.
WITHOUT_WATCHDOG = 240.0


@dataclass
class Hosts(Rule):
    """On which hosts an engine was in trouble, or the watchdog was killed, until when that counts."""

    _excused: defaultdict[str, float] = field(default_factory=lambda: defaultdict(lambda: -math.inf))

    @property
    def handlers(self) -> Mapping[str, See]:
        return {"watchdogs-killed": self._see_watchdogs_killed, "engine-trouble": self._see_trouble}

    def _see_watchdogs_killed(self, event: Event) -> None:
        self._excused[event.subject] = math.inf

    def _see_trouble(self, event: Event) -> None:
        until = event.at + event.more["seconds"] + ENGINE_AGAIN
        self._excused[event.subject] = max(self._excused[event.subject], until)

    def _excuse(self, host: str) -> float:
        return self._excused[host]


@dataclass
class WithinLease(Hosts):
    """Promise 4: no container outlives its lease plus grace while its host lives.

    Seen at the ledger and the engines: a container ends by itself, or at the latest a lease, its grace and a few looks
    of the watchdog after the last beat that renewed its attempt. While the engine is in trouble nobody can end it: then
    as soon as it answers again. In the end none is left.
    """

    _renewed: dict[tuple[str, int], Event] = field(default_factory=dict)
    _running: dict[tuple[str, int, str], Event] = field(default_factory=dict)
    _late: list[tuple[Event, Event, Event]] = field(default_factory=list)

    @property
    def handlers(self) -> Mapping[str, See]:
        own = {
            "begun": self._see_begun,
            "beat": self._see_beat,
            "container-started": self._see_started,
            "container-ended": self._see_ended,
        }
        return {**super().handlers, **own}

    def _see_begun(self, event: Event) -> None:
        self._renewed[event.subject, event.more["attempt"]] = event

    def _see_beat(self, event: Event) -> None:
        for attempt in event.more["attempts"]:
            task, _, number = attempt.partition("#")
            key = task, int(number)
            running = self._running.get((*key, machine_of(event.by)))
            if running is not None:
                self._compare(self._renewed[key], running, event)
            self._renewed[key] = event

    def _see_started(self, event: Event) -> None:
        self._running[event.subject, event.more["attempt"], event.by] = event

    def _see_ended(self, event: Event) -> None:
        key = event.subject, event.more["attempt"]
        self._compare(self._renewed[key], self._running.pop((*key, event.by)), event)

    def _compare(self, renewed: Event, started: Event, event: Event) -> None:
        """`event`: its container ended, or was still there."""
        if event.at > max(renewed.at + self.terms.lease, self._excuse(started.by)):
            self._late.append((renewed, started, event))

    def end(self, end: End) -> None:
        for renewed, started, event in self._late:
            job = end.jobs.get(job_of(started.subject))
            grace = job.record.job.limits.grace if job else math.inf
            late = event.at - renewed.at - self.terms.lease
            if late > grace + LOOKS:
                problem = f"its container outlived its lease by {late:.1f} s, its grace is {grace:g} s"
                self.broken(4, started.subject, problem, renewed, started, event)
        for started in self._running.values():
            self.broken(4, started.subject, "its container is still there in the end", started)


@dataclass
class NoDouble(Hosts):
    """What all need: no two containers of one task run at the same time, on hosts that can end theirs.

    Seen at the engines. While an engine is in trouble nobody can end what runs there.
    """

    _running: defaultdict[str, dict[tuple[int, str], Event]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    @property
    def handlers(self) -> Mapping[str, See]:
        own = {"container-started": self._see_started, "container-ended": self._see_ended}
        return {**super().handlers, **own}

    def _see_started(self, event: Event) -> None:
        for other in self._running[event.subject].values():
            if event.at > self._excuse(machine_of(other.by)):
                self.broken(0, event.subject, "two containers of it run at once", other, event)
        self._running[event.subject][event.more["attempt"], event.by] = event

    def _see_ended(self, event: Event) -> None:
        self._running[event.subject].pop((event.more["attempt"], event.by), None)
