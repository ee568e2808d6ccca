"""The product's own policy: the supervisor's `demand` and `scaling`, unchanged, over what the model shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from controller import demand, scaling
from controller.demand import Load
from controller.depths import Depths
from controller.pace import Pace, Paces
from controller.scaling import Picture
from controller.simulation.model.policy import Leaving, Orders, Progress, Sight
from controller.simulation.model.workload import Bag
from runner.array import Array
from runner.model import Job, Limits
from runner.records import Counts, JobRecord
from runner.routing import Routes

PRODUCT = "this project"

# More unfinished jobs than are looked at one by one while all the machines there may be are asked for.
MANY = 100


class Product:
    """As `controller.supervisor` does it in every step. `leaving`: the agents' settings."""

    name = PRODUCT
    scales_in = False
    protects = True

    def __init__(self, routes: Routes, leaving: Leaving, interval: float = 5.0) -> None:
        self.leaving = leaving
        self.interval = interval
        self._routes = routes
        self._jobs: dict[str, Job] = {}
        self._depths = Depths()
        self._paces = Paces()
        self._earlier: dict[str, float] = {}
        self._past = 0
        self._last = Orders({})
        self._decided_on: int | None = None

    def step(self, sight: Sight) -> Orders:
        if len(sight.jobs) > MANY and _at_most(sight):
            return self._all_out(sight)
        records = [self._record(job) for job in sight.jobs]
        paces = self._paces.observe(records, sight.now)
        history = self._history(sight)
        until = _same_until(sight, paces, history)
        if self._decided_on == sight.version and until >= sight.now:
            return replace(self._last, until=until)
        self._decided_on = sight.version
        sent, running = demand.known_by_channel(records, self._routes)
        believed = self._depths.observe(sight.depth, sent, running)
        loads = demand.loads(
            records, self._routes, sight.depth, history, sight.now, believed=believed, paces=paces
        )
        self._last = Orders(self._desired(sight, loads), demand.waiting_by_channel(loads), until)
        return self._last

    def _all_out(self, sight: Sight) -> Orders:
        """Looking at thousands of jobs whenever a task ends, where nothing can come of it, would take hours. The queue
        itself says where something waits."""
        self._decided_on = None
        waiting = {channel: depth.visible for channel, depth in sight.depth.items() if depth.visible}
        return Orders(self._desired(sight, ()), waiting, math.inf)

    def _desired(self, sight: Sight, loads: Sequence[Load]) -> Mapping[str, int]:
        if _at_most(sight):
            return {name: each.desired for name, each in sight.capacity.items()}
        picture = Picture(loads, self._routes, sight.capacity, sight.depth, sight.now, sight.leaving)
        return {name: decision.desired for name, decision in scaling.decide(picture).items()}

    def _history(self, sight: Sight) -> Mapping[str, float]:
        """What is told of a job, or what the latest of its name took."""
        for job in sight.past[self._past :]:
            self._earlier[job.bag.name] = job.seconds / job.ended
        self._past = len(sight.past)
        known: dict[str, float] = {}
        for job in sight.jobs:
            told = self._earlier.get(job.bag.name) if job.bag.told is None else job.bag.told
            if told is not None and not job.ended:
                known[job.id] = told
        return known

    def _record(self, job: Progress) -> JobRecord:
        if job.id not in self._jobs:
            self._jobs[job.id] = job_of(job.id, job.bag)
        return JobRecord(
            self._jobs[job.id],
            Counts(runnable=job.waiting, running=job.running, succeeded=job.ended),
            queued=job.sent,
            released_at=job.bag.arrival,
            first_started_at=job.first_started,
            last_finished_at=job.last_ended,
            task_seconds=job.seconds,
        )


def job_of(job_id: str, bag: Bag) -> Job:
    return Job(
        job_id,
        bag.name,
        ("x",),
        Array.of_size(len(bag.durations)),
        limits=Limits(vcpus=bag.vcpus, memory=bag.memory),
        queue=bag.queue,
        max_parallel=bag.max_parallel,
        created_at=bag.arrival,
    )


def _same_until(sight: Sight, paces: Mapping[str, Pace], history: Mapping[str, float]) -> float:
    """What has run for longer than tasks are known to take tells something by that; but where all the machines there
    may be are asked for, there is nothing to tell."""
    if any(each.trouble for each in sight.capacity.values()):
        return 0.0
    if _at_most(sight):
        return math.inf
    found = math.inf
    for job in sight.jobs:
        seen = paces[job.id]
        known = history.get(job.id) if seen.seconds is None else seen.seconds
        if job.running and job.waiting:
            found = min(found, 0.0 if known is None else sight.now + known - seen.at_least)
    return found


def _at_most(sight: Sight) -> bool:
    """Nobody is scaled in; so there is nothing to decide where all the machines there may be are asked for."""
    return all(each.desired >= each.maximum and not each.trouble for each in sight.capacity.values())
