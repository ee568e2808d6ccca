"""What nobody can beat: the least cost of a workload, with the future known. A bound, not a schedule.

For every number K of machines (the first K that this very run launches, with the boots and lives that it draws for
them): the earliest end C(K), and the fewest machine-hours IH(K). The bound is the least of price · IH(K) + λ · C(K).
Both only use what holds for any schedule with at most K launches:

- no task ends before it has arrived, the first machine has booted, and it has run;
- what arrives after r is done between r and C by at most K machines, each from when it is up until it is reclaimed,
  and a slot does only whole tasks (where all are of one shape; else vCPUs and memory are counted as if tasks could be
  cut to fit), and no more machines than there may be at a time;
- machine-hours are at least the boots of the K launches, as far as they were lived through, and the work in full
  machines; tasks of one length take whole waves of a machine's slots; the longest task keeps one machine.

Left out, so that the bound can only be too low: idling between arrivals, packing, the order of the queue, what it takes
to notice anything. Not thought of: fishing, which is to end a machine oneself, be it while it boots, and to launch
others later in its place, until only such are left as boot fast and are not reclaimed for long (`in_turn`).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.simulation.model.conditions import HOUR
from controller.simulation.model.workload import Bag
from runner.ports import Capacity

# So many arrival times are looked at; to leave some out only lowers the bound.
MOST_SUFFIXES = 12
PRECISION = 0.01
STEP = 5
NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Launch:
    """`asked`: the earliest that it may be asked for. `boot`: how long it takes. `gone`: when it is told to go; what it
    has may go on for `notice` seconds."""

    asked: float
    boot: float
    gone: float = math.inf
    notice: float = 0.0

    @property
    def up(self) -> float:
        return self.asked + self.boot

    @property
    def paid(self) -> float:
        """Of its boot, at least."""
        return min(self.boot, max(0.0, self.gone - self.asked))


@dataclass(frozen=True, slots=True)
class Part:
    """What one environment has to do, with so many machines `at_once` at most. `again`: launches after all machines
    were reclaimed."""

    bags: Sequence[Bag]
    machine: Capacity
    price: float
    launches: Sequence[Launch]
    at_once: int
    again: Sequence[Launch] = ()


@dataclass(frozen=True, slots=True)
class _Suffix:
    """All that arrives at `since` or later. `work` in machine-seconds; `count` tasks of at least `shortest` seconds, of
    which a machine holds `slots`; 0: they are of several shapes."""

    since: float
    work: float
    count: int
    shortest: float
    slots: int


def in_turn(boots_and_lives: Sequence[tuple[float, float]], at_once: int, notice: float) -> list[Launch]:
    """When each of so many launches can be asked for at the earliest, where all work is there from the beginning.

    A launch's life, until it is told to go, is drawn by its number, and nobody can choose: so the first `at_once` are
    asked for at 0, and each later one when one of those before it goes. Launched in their order as soon as there is a
    place, all begin as early as they can: a place that is taken later is not free sooner. Who ends machines himself
    does no more work with those than if he had kept them; and if he never has more machines afterwards than he was
    left with, he could have kept them, and launched all others when he did.
    """
    free, found = [0.0] * at_once, []
    for boot, life in boots_and_lives:
        asked = free[0]
        heapq.heapreplace(free, asked + life)
        found.append(Launch(asked, boot, asked + life, notice))
    return found


Curve = Sequence[tuple[float, float]]
"""For each number of launches the earliest end, in seconds, and the dollars that are spent at least."""


def curve(part: Part) -> Curve:
    suffixes, found = _suffixes(part), []
    whole = max(suffixes[0].work, *(max(bag.durations) for bag in part.bags))
    for fewest, most in _choices(part):
        hours = (sum(launch.paid for launch in fewest) + whole) / HOUR
        found.append((_end(part, suffixes, most), part.price * hours))
    if len(part.launches) > part.at_once:
        # Who launches more often than is looked at, launches those later than the last that is.
        found.append((min(found[-1][0], part.launches[-1].asked), found[-1][1]))
    return [(end, dollars) for end, dollars in found if end < math.inf]


def _choices(part: Part) -> Iterator[tuple[Sequence[Launch], Sequence[Launch]]]:
    """What may be launched. Of two kinds not all combinations, but between which bounds they lie: their boots are at
    least those of the first, their end is not before that of the second."""
    if not part.again:
        for count in range(1, len(part.launches) + 1):
            yield part.launches[:count], part.launches[:count]
        return
    for first in range(0, len(part.launches), STEP):
        for then in range(0, len(part.again), STEP):
            fewest = [*part.launches[: first + 1], *part.again[:then]]
            yield fewest, [*part.launches[: first + STEP], *part.again[: then + STEP]]


def least_cost(curves: Sequence[Curve], hour_of_waiting: float) -> float:
    """Dollars, with an hour until the end worth so many."""
    least = math.inf
    for end in sorted({end for curve in curves for end, _ in curve}):
        dollars = [min((cost for when, cost in curve if when <= end), default=math.inf) for curve in curves]
        least = min(least, sum(dollars) + hour_of_waiting * end / HOUR)
    return least


def _end(part: Part, suffixes: Sequence[_Suffix], launches: Sequence[Launch]) -> float:
    """Infinite: never with these."""
    launches = sorted(launches, key=lambda launch: launch.up)
    first = launches[0].up
    low = max(max(bag.arrival, first) + max(bag.durations) for bag in part.bags)
    if _suffices(part, suffixes, launches, low):
        return low
    high = low + PRECISION
    while not _suffices(part, suffixes, launches, high):
        low, high = high, high + 2 * (high - low)
        if high > low + 1e9:
            return math.inf
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if _suffices(part, suffixes, launches, middle) else (middle, high)
    return low


def _suffices(part: Part, suffixes: Sequence[_Suffix], launches: Sequence[Launch], end: float) -> bool:
    for suffix in suffixes:
        since = max(suffix.since, launches[0].up)
        times = [max(0.0, min(end, each.gone + each.notice) - max(since, each.up)) for each in launches]
        if min(sum(times), part.at_once * max(0.0, end - since)) < suffix.work - PRECISION:
            return False
        if suffix.slots:
            done = suffix.slots * sum(math.floor(each / suffix.shortest + NOTHING) for each in times)
            if done < suffix.count:
                return False
    return True


def _suffixes(part: Part) -> Sequence[_Suffix]:
    shapes = {(bag.vcpus, bag.memory) for bag in part.bags}
    slots = _slots(part.bags[0], part.machine) if len(shapes) == 1 else 0
    every = sorted({bag.arrival for bag in part.bags})
    apart = max(1, math.ceil(len(every) / MOST_SUFFIXES))
    return [_suffix(part, since, slots) for since in [*every[::apart], *every[-2:]]]


def _suffix(part: Part, since: float, slots: int) -> _Suffix:
    bags = [bag for bag in part.bags if bag.arrival >= since]
    if not slots:
        vcpus = sum(bag.vcpus * bag.work for bag in bags) / part.machine.vcpus
        memory = sum(bag.memory * bag.work for bag in bags) / part.machine.memory
        return _Suffix(since, max(vcpus, memory), 0, 0.0, 0)
    durations = [seconds for bag in bags for seconds in bag.durations]
    work, count, shortest = sum(durations) / slots, len(durations), min(durations)
    if shortest == max(durations):
        work = math.ceil(count / slots) * shortest
    return _Suffix(since, work, count, shortest, slots)


def _slots(bag: Bag, machine: Capacity) -> int:
    return int(min((machine.vcpus + NOTHING) / bag.vcpus, machine.memory / bag.memory))
