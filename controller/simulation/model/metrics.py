"""What a run comes to, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.simulation.model.conditions import HOUR
from controller.simulation.model.machines import Machine
from controller.simulation.model.run import Run


@dataclass(frozen=True, slots=True)
class Metrics:
    """Times in seconds, from the first job's arrival. `machine_hours` are billed from launch to termination, the boot
    included, and cost `dollars`. `idle_tail`: from the last task's end until the last machine has gone. `unused`:
    machines that never had a task. `killed`: tasks ended by the policy. `turnaround`: of all jobs together, from their
    arrival to their end."""

    makespan: float
    machine_hours: float
    dollars: float
    first_task: float
    mean_wait: float
    p95_wait: float
    launched: int
    unused: int
    idle_tail: float
    killed: int
    wasted_hours: float
    turnaround: float

    def cost(self, hour_of_waiting: float) -> float:
        """Dollars, with an hour until the end worth so many."""
        return self.dollars + hour_of_waiting * self.makespan / HOUR


def measured(run: Run, prices: Mapping[str, float]) -> Metrics:
    """`prices`: by environment, dollars an hour of one machine."""
    hours = {name: sum(_billed(each, run) for each in of) / HOUR for name, of in run.machines.items()}
    every = [machine for of in run.machines.values() for machine in of]
    waits = sorted(run.waits)
    return Metrics(
        makespan=run.last_ended,
        machine_hours=sum(hours.values()),
        dollars=sum(prices[name] * count for name, count in hours.items()),
        first_task=run.first_started,
        mean_wait=sum(waits) / len(waits) if waits else 0.0,
        p95_wait=percentile(waits, 0.95),
        launched=len(every),
        unused=sum(machine.first_used is None for machine in every),
        idle_tail=run.finished - run.last_ended,
        killed=run.killed,
        wasted_hours=run.wasted / HOUR,
        turnaround=sum(run.turnarounds),
    )


def percentile(ordered: Sequence[float], part: float) -> float:
    """The least value that so large a part of them does not exceed; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -int(-part * len(ordered) // 1) - 1))]


def _billed(machine: Machine, run: Run) -> float:
    return (run.finished if machine.ended is None else machine.ended) - machine.launched
