"""Schedules of one who knows all that is to come: whatever the cheapest of them costs, the least cost is not more."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from benchmarks.scaling.bounds import Launch, Part, least_cost
from benchmarks.scaling.measure import WORTHS, parts
from benchmarks.scaling.workloads import Case
from controller.simulation.model.conditions import HOUR
from controller.simulation.model.workload import Bag

NOTHING = 1e-9
STEP = 5
# How much more a task counts that is twice as wide, where the one that counts most goes first.
WIDTHS = (0.0, 0.5, 1.0, 9.0)


def planned(case: Case, seed: int) -> list[float]:
    """Dollars, as `bound` has them."""
    curves = [list(_plans(part)) for part in parts(case, seed)]
    return [least_cost(curves, worth) for worth in WORTHS]


def _plans(part: Part) -> Iterator[tuple[float, float]]:
    for launches in _choices(part):
        for width in WIDTHS if len({bag.vcpus for bag in part.bags}) > 1 else WIDTHS[:1]:
            plan = _Plan(part, launches, width)
            if plan.run():
                yield plan.end, part.price * plan.paid / HOUR


def _choices(part: Part) -> Iterator[Sequence[Launch]]:
    """So many from the beginning, and so many more just in time for the last job, or after all were reclaimed."""
    last = max(bag.arrival for bag in part.bags)
    for first in range(len(part.launches), 0, -STEP if part.again else -1):
        later = part.again or ([_in_time(each, last) for each in part.launches[first:]] if last else [])
        for fewer in range(0, len(later) + 1, STEP):
            yield [*part.launches[:first], *later[: len(later) - fewer]]
        yield part.launches[:first]


def _in_time(launch: Launch, when: float) -> Launch:
    return replace(launch, asked=max(0.0, when - launch.boot))


@dataclass(slots=True, eq=False)
class _Machine:
    launch: Launch
    vcpus: float
    memory: float
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.launch.asked + self.launch.paid

    def takes(self, bag: Bag, seconds: float, now: float) -> bool:
        fits = bag.vcpus <= self.vcpus + NOTHING and bag.memory <= self.memory
        return fits and now <= self.launch.gone and now + seconds <= self.launch.gone + self.launch.notice


class _Plan:
    """Of what fits the longest and widest task goes first; where several machines have room, the first of them. A
    machine ends with its last task, but not while it boots."""

    def __init__(self, part: Part, launches: Sequence[Launch], width: float) -> None:
        self._width = width
        self._machines = [_Machine(each, part.machine.vcpus, part.machine.memory) for each in launches]
        self._waiting: dict[tuple[float, int], list[tuple[float, Bag]]] = {}
        self._entered = count()
        self._events: list[tuple[float, int, _Machine | None, Bag | None]] = []
        for bag in part.bags:
            self._enter(bag.arrival, None, bag)
        for machine in self._machines:
            self._enter(machine.launch.up, machine, None)
        self._open: list[_Machine] = []
        self.left = sum(len(bag.durations) for bag in part.bags)
        self.end = 0.0

    @property
    def paid(self) -> float:
        """Seconds."""
        return sum(each.last - each.launch.asked for each in self._machines if each.launch.asked < self.end)

    def run(self) -> bool:
        """Whether everything is done."""
        while self._events:
            now, _, machine, bag = heapq.heappop(self._events)
            if machine is None:
                assert bag is not None
                self._arrive(bag)
                for each in self._open:
                    self._fill(each, now)
                continue
            if bag is None:
                self._open.append(machine)
            else:
                machine.vcpus += bag.vcpus
                machine.memory += bag.memory
            self._fill(machine, now)
        return not self.left

    def _arrive(self, bag: Bag) -> None:
        queue = self._waiting.setdefault((bag.vcpus, bag.memory), [])
        queue += [(seconds, bag) for seconds in bag.durations]
        queue.sort(key=lambda task: task[0])

    def _fill(self, machine: _Machine, now: float) -> None:
        while fitting := [
            of for of in self._waiting.values() if of and machine.takes(of[-1][1], of[-1][0], now)
        ]:
            seconds, bag = max(fitting, key=lambda of: of[-1][0] * of[-1][1].vcpus ** self._width).pop()
            machine.vcpus -= bag.vcpus
            machine.memory -= bag.memory
            machine.last = max(machine.last, now + seconds)
            self.end = max(self.end, now + seconds)
            self.left -= 1
            self._enter(now + seconds, machine, bag)

    def _enter(self, at: float, machine: _Machine | None, bag: Bag | None) -> None:
        heapq.heappush(self._events, (at, next(self._entered), machine, bag))
