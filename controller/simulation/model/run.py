"""One run of a workload under a policy."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from controller.simulation.model.agenda import Agenda
from controller.simulation.model.conditions import Conditions
from controller.simulation.model.floor import Floor
from controller.simulation.model.groups import Group
from controller.simulation.model.machines import Machine, State, Task
from controller.simulation.model.policy import Policy, Progress, Sight
from controller.simulation.model.rest import Rest
from controller.simulation.model.workload import Bag, Workload
from runner.array import Array
from runner.model import Job, Limits
from runner.records import Backlog
from runner.routing import Routes

# A fleet that has not gone for so long after the last task never will; what it costs until then is counted.
PATIENCE = 6 * 3600.0


class Sample(NamedTuple):
    """How many machines boot and serve, and how many tasks wait and run, from a moment on."""

    at: float
    booting: int
    serving: int
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Run:
    """What happened. `machines`: of every environment, in the order of their launches. `killed`: tasks that the policy
    ended. `wasted`: seconds of attempts that came to nothing. `turnarounds`: of each job, from arrival to end."""

    workload: Workload
    machines: Mapping[str, Sequence[Machine]]
    waits: Sequence[float]
    first_started: float
    last_ended: float
    finished: float
    killed: int
    wasted: float
    turnarounds: Sequence[float]
    samples: Sequence[Sample]


class Simulation:
    """`seed`: the same one, the same run. `sampled`: keep what a chart shows."""

    def __init__(
        self,
        workload: Workload,
        routes: Routes,
        policy: Policy,
        conditions: Conditions,
        seed: str,
        *,
        sampled: bool = False,
    ) -> None:
        assert routes.fleet is not None
        names = list(routes.fleet.environments)
        channels = {
            name: sorted(of := routes.channels_of(name), key=lambda channel: -of[channel]) for name in names
        }
        self._workload = workload
        self._routes = routes
        self._policy = policy
        self._conditions = conditions
        self._sampled = sampled
        self._agenda = Agenda()
        self._floor = Floor(self._agenda, channels, Random(f"{seed}/polls"), self._rested)
        self._groups = {
            name: Group(
                each, routes.machine(name), conditions, self._agenda, self._floor, seed, self._changed
            )
            for name, each in routes.fleet.environments.items()
        }
        self._rest = Rest(self._agenda, policy.leaving, self._groups, channels, Random(f"{seed}/readings"))
        self._arrivals = [bag.arrival for bag in workload.bags]
        self._jobs: dict[str, Progress] = {}
        self._unsent: dict[Progress, deque[Task]] = {}
        self._arrived: list[Progress] = []
        self._past: list[Progress] = []
        self._counts: deque[tuple[float, Mapping[str, tuple[int, int]]]] = deque()
        self._version = 0
        # Nobody looks in the very moment in which a job comes.
        self._phase = Random(f"{seed}/steps").uniform(0, policy.interval)
        self._samples: list[Sample] = []

    def run(self) -> Run:
        for reclaim in self._conditions.reclaims:
            self._agenda.at(reclaim.at, self._reclaim, reclaim.environment)
        for at, bag in enumerate(self._workload.bags):
            self._agenda.at(bag.arrival, self._arrive, at, bag)
        self._agenda.at(self._phase, self._step)
        self._floor.unfinished = self._workload.tasks
        while self._floor.unfinished and self._agenda.advance(math.inf):
            pass
        while any(group.alive for group in self._groups.values()):
            if not self._agenda.advance(self._floor.last_ended + PATIENCE):
                break
        return self._result()

    def _result(self) -> Run:
        floor, machines = self._floor, {name: group.all for name, group in self._groups.items()}
        ends = [machine.ended for of in machines.values() for machine in of if machine.ended is not None]
        return Run(
            workload=self._workload,
            machines=machines,
            waits=floor.waits,
            first_started=floor.first_started or 0.0,
            last_ended=floor.last_ended,
            finished=max([*ends, self._agenda.now]),
            killed=sum(group.lost_to_scaling for group in self._groups.values()),
            wasted=floor.wasted,
            turnarounds=[(job.last_ended or 0.0) - job.bag.arrival for job in self._arrived],
            samples=self._samples,
        )

    def _arrive(self, at: int, bag: Bag) -> None:
        job = Progress(f"{bag.name}-{at}", bag, len(bag.durations))
        self._jobs[job.id] = job
        self._arrived.append(job)
        asked = Job(
            job.id, bag.name, ("x",), Array.of_size(1), limits=Limits(vcpus=bag.vcpus, memory=bag.memory)
        )
        channel = self._routes.channel(asked, bag.memory)
        self._version += 1
        job.held = len(bag.durations)
        self._unsent[job] = deque(Task(job, seconds, channel) for seconds in bag.durations)
        self._send(job)

    def _send(self, job: Progress) -> None:
        """As the supervisor does: of a job no more are on the queue or run than it allows."""
        tasks, most = self._unsent[job], job.bag.max_parallel
        while tasks and (most is None or job.sent < most):
            job.held -= 1
            self._floor.offer(tasks.popleft())
        if not tasks:
            del self._unsent[job]

    def _rested(self, machine: Machine) -> None:
        self._rest.consider(machine)

    def _changed(self) -> None:
        self._version += 1

    def _reclaim(self, environment: str) -> None:
        group = self._groups[environment]
        for machine in list(group.alive):
            group.notify(machine)

    def _step(self) -> None:
        for job in list(self._unsent):
            self._send(job)
        policy, sight = self._policy, self._look()
        orders = policy.step(sight)
        for name, group in self._groups.items():
            group.resize(orders.desired[name], shrink=policy.scales_in, spare_busy=policy.protects)
        self._rest.publish(orders.waiting)
        if self._sampled:
            self._sample()
        if self._floor.unfinished or any(group.alive for group in self._groups.values()):
            # What counts tell may change when nothing does, where they are late.
            same = 0.0 if self._seen != sight.version or self._conditions.count_lag else orders.until
            self._agenda.at(self._next_step(same), self._step)

    @property
    def _seen(self) -> int:
        """Where it is what it was, nothing has changed but the time."""
        return self._version + self._floor.changes

    def _next_step(self, same: float) -> float:
        """Where nothing is to be done and nobody there, the one that sees the next arrival. Of those that would come to
        the same the last one: whoever remembers when it looked last is not to know that it did not look in between."""
        now, interval = self._agenda.now, self._policy.interval
        if not self._jobs and not any(group.alive for group in self._groups.values()):
            at = bisect_right(self._arrivals, now)
            ahead = self._arrivals[at] if at < len(self._arrivals) else now
            return now + interval * max(1, math.ceil((ahead - now) / interval))
        until = min(same, self._agenda.next_at) if self._floor.unfinished else 0.0
        return self._skipped(until) if until < math.inf else now + interval

    def _skipped(self, until: float) -> float:
        """The latest step by then, reckoned step by step, as times do not add up exactly."""
        at, interval = self._agenda.now, self._policy.interval
        while at + interval + interval <= until:
            at += interval
        return at + interval

    def _look(self) -> Sight:
        for job in [job for job in self._jobs.values() if not job.unfinished]:
            self._past.append(self._jobs.pop(job.id))
        return Sight(
            now=self._agenda.now,
            jobs=list(self._jobs.values()),
            past=self._past,
            capacity={name: group.capacity() for name, group in self._groups.items()},
            depth=self._depth(),
            leaving={name: count for name, group in self._groups.items() if (count := group.leaving)},
            version=self._seen,
        )

    def _depth(self) -> Mapping[str, Backlog]:
        """As the queue would tell it: what was so long ago."""
        floor, now = self._floor, self._agenda.now
        self._counts.append(
            (now, {name: (len(of), floor.in_flight[name]) for name, of in floor.queues.items()})
        )
        while len(self._counts) > 1 and self._counts[1][0] <= now - self._conditions.count_lag:
            self._counts.popleft()
        return {
            name: Backlog(waiting, taken, 0, now) for name, (waiting, taken) in self._counts[0][1].items()
        }

    def _sample(self) -> None:
        alive = [machine for group in self._groups.values() for machine in group.alive]
        booting = sum(machine.state is State.BOOTING for machine in alive)
        waiting = sum(map(len, self._floor.queues.values())) + sum(map(len, self._unsent.values()))
        running = sum(self._floor.in_flight.values())
        sample = Sample(self._agenda.now, booting, len(alive) - booting, waiting, running)
        if not self._samples or self._samples[-1][1:] != sample[1:]:
            self._samples.append(sample)
