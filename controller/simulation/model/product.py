"""The product's own policy: the supervisor's `demand` and `scaling`, unchanged, over what the model shows."""

from __future__ import annotations

from collections.abc import Mapping

from controller import demand, scaling
from controller.scaling import Picture
from controller.simulation.model.policy import Leaving, Orders, Progress, Sight
from runner.array import Array
from runner.model import Job, Limits
from runner.records import Counts, JobRecord
from runner.routing import Routes


class Product:
    """As `controller.supervisor` does it in every step. `leaving`: the agents' settings."""

    name = "this project"
    scales_in = False
    protects = True

    def __init__(self, routes: Routes, leaving: Leaving, interval: float = 5.0) -> None:
        self.leaving = leaving
        self.interval = interval
        self._routes = routes
        self._jobs: dict[str, Job] = {}
        self._last = Orders({})
        self._decided_on: int | None = None

    def step(self, sight: Sight) -> Orders:
        if self._decided_on == sight.version and not _time_matters(sight):
            return self._last
        self._decided_on = sight.version
        records = [self._record(job) for job in sight.jobs]
        loads = demand.loads(records, self._routes, sight.depth, _history(sight), sight.now)
        picture = Picture(loads, self._routes, sight.capacity, sight.depth, sight.now, sight.leaving)
        decisions = scaling.decide(picture)
        desired = {name: decision.desired for name, decision in decisions.items()}
        self._last = Orders(desired, demand.waiting_by_channel(loads))
        return self._last

    def _record(self, job: Progress) -> JobRecord:
        if job.id not in self._jobs:
            self._jobs[job.id] = job_of(job)
        return JobRecord(
            self._jobs[job.id],
            Counts(runnable=job.waiting, running=job.running, succeeded=job.ended),
            queued=job.unfinished,
            released_at=job.bag.arrival,
            first_started_at=job.first_started,
            last_finished_at=job.last_ended,
            task_seconds=job.seconds,
        )


def job_of(job: Progress) -> Job:
    bag = job.bag
    return Job(
        job.id,
        bag.name,
        ("x",),
        Array.of_size(len(bag.durations)),
        limits=Limits(vcpus=bag.vcpus, memory=bag.memory),
        queue=bag.queue,
        max_parallel=bag.max_parallel,
        created_at=bag.arrival,
    )


def _history(sight: Sight) -> Mapping[str, float]:
    """What is told of a job, or what the latest of its name took."""
    earlier = {past.bag.name: past.seconds / past.ended for past in sight.past if past.ended}
    known: dict[str, float] = {}
    for job in sight.jobs:
        if job.ended:
            earlier[job.bag.name] = job.seconds / job.ended
            continue
        told = earlier.get(job.bag.name) if job.bag.told is None else job.bag.told
        if told is not None:
            known[job.id] = told
    return known


def _time_matters(sight: Sight) -> bool:
    """While machines are on their way, or it is not known how long tasks take."""
    coming = any(each.pending or each.trouble for each in sight.capacity.values())
    return coming or any(not job.ended and job.bag.told is None for job in sight.jobs)
