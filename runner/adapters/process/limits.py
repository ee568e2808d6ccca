"""The memory limit, by sampling: nothing that works without root on every system limits a tree of processes.

A task may exceed its limit between two samples; one that is over before the first is not measured. CPUs and
the number of processes are not limited: RLIMIT_NPROC counts a user's, RLIMIT_AS kills programs that only map.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import psutil

from runner.adapters.process.leader import Leader
from runner.adapters.process.proctree import descendants

FIRST = 0.25  # seconds: the many short tasks are never looked at
INTERVAL = 0.5
SHARE = 20  # a sample may cost at most one part in so many of the time


class Sampler:
    """Looks at every leader of some age, each half second while there are any; calls `before` ahead of it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, leaders: Mapping[int, Leader], before: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._leaders = leaders
        self._before = before
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is a new leader."""
        if self._timer is None:
            self._timer = self._loop.call_later(FIRST, self._look)

    def _look(self) -> None:
        begun = self._loop.time()
        try:
            self._before()
            for leader in list(self._leaders.values()):
                if begun - leader.since >= FIRST:
                    enforce(leader)
        finally:
            pause = max(INTERVAL, SHARE * (self._loop.time() - begun))
            self._timer = self._loop.call_later(pause, self._look) if self._leaders else None


def enforce(leader: Leader) -> None:
    """Measure the leader's whole tree, and kill it when that is above its limit."""
    tree = survey(leader)
    used = total(tree, resident)
    if used > leader.memory:
        # Pages that a forked family shares were counted once for each member: look closely before killing.
        used = total(tree, own_share)
    leader.saw_memory(used)
    if used > leader.memory:
        leader.out_of_memory = True
        leader.kill()


def survey(leader: Leader) -> list[psutil.Process]:
    """The leader and all below it, also below those seen earlier that have detached themselves since."""
    below = set(descendants(leader.pid))
    for pid in [pid for pid in leader.family if pid not in below]:
        if leader.family[pid].is_running():
            below.update(descendants(pid))
        else:
            del leader.family[pid]
    leader.know(below)
    try:
        return [psutil.Process(leader.pid), *leader.family.values()]
    except psutil.Error:
        return list(leader.family.values())


def total(tree: Iterable[psutil.Process], measure: Callable[[psutil.Process], int]) -> int:
    used = 0
    for process in tree:
        try:
            used += measure(process)
        except psutil.Error:
            continue
    return used


def resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def own_share(process: psutil.Process) -> int:
    """Memory of its own and its part of what is shared; where the system tells only the former, that."""
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return resident(process)
    return int(getattr(full, "pss", full.uss))
