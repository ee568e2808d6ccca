"""Collects the exit statuses of this process's tasks: one SIGCHLD handler for each event loop, no thread."""

from __future__ import annotations

import asyncio
import os
import signal
import weakref
from collections.abc import Sequence
from contextlib import suppress

import psutil

from runner.adapters.process.environment import SCRATCH
from runner.adapters.process.leader import Leader, signal_group
from runner.adapters.process.limits import Sampler
from runner.adapters.process.proctree import adopt_orphans, descendants, own_children
from runner.errors import EngineUnavailable

JUDGEMENTS = 3
DOUBT = 0.05  # seconds between them

_reapers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Reaper] = weakref.WeakKeyDictionary()


def reaper() -> Reaper:
    """The running loop's. Raises EngineUnavailable outside the main thread, where no signal arrives."""
    loop = asyncio.get_running_loop()
    found = _reapers.get(loop)
    if found is None:
        found = _reapers[loop] = Reaper(loop)
    return found


class Reaper:
    """Waits for the pids and groups it was told of and for nothing else: other children of this process keep
    their statuses for whoever started them, by `subprocess` say.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.leaders: dict[int, Leader] = {}
        self._groups: set[int] = set()  # killed with their leader, not all members collected
        self._strays: set[int] = set()  # left their group, became our children, and are some task's
        self._adopts = adopt_orphans()
        self._sampler = Sampler(loop, self.leaders, self._look)
        try:
            loop.add_signal_handler(signal.SIGCHLD, self.collect)
        except (ValueError, RuntimeError) as error:
            msg = "the process engine works only in the main thread's event loop, where signals arrive"
            raise EngineUnavailable(msg) from error

    def watch(self, leader: Leader) -> None:
        self.leaders[leader.pid] = leader
        self._sampler.wake()

    def collect(self) -> None:
        """Take every status that is there. Signals coalesce, so one call may find many, or none."""
        for leader in list(self.leaders.values()):
            self._collect(leader)
        for group in list(self._groups):
            self._collect_group(group)
        for pid in list(self._strays):
            self._collect_stray(pid)

    def _collect(self, leader: Leader) -> None:
        while leader.running:
            try:
                # By group: with the leader come orphans of its group that fell to us.
                pid, status, usage = os.wait4(-leader.pid, os.WNOHANG)
            except ChildProcessError:
                self._end(leader, None)
                return
            if pid == 0:
                return
            leader.account(usage)
            if pid == leader.pid:
                self._end(leader, status)

    def _end(self, leader: Leader, status: int | None) -> None:
        del self.leaders[leader.pid]
        leader.running = False
        leader.status = status
        # No other process can have this group's number yet: numbers are given out in a circle, and this one
        # was given back microseconds ago.
        if signal_group(leader.pid, signal.SIGKILL) and self._adopts:
            self._groups.add(leader.pid)
        self._end_escaped(leader)
        leader.on_end()

    def _end_escaped(self, leader: Leader) -> None:
        if self._adopts:
            self._judge(leader, self._unknown_children(), JUDGEMENTS)
        self._kill_family(leader)

    def _judge(self, leader: Leader, pids: Sequence[int], times: int) -> None:
        """Find the leader's among our unknown children; look again later at those that cannot be told yet."""
        doubtful = []
        for pid in pids:
            verdict = belongs(pid, leader)
            if verdict:
                leader.know([pid, *descendants(pid)])
            elif verdict is None:
                doubtful.append(pid)
        if doubtful and times > 1:
            asyncio.get_running_loop().call_later(DOUBT, self._judge_again, leader, doubtful, times - 1)

    def _judge_again(self, leader: Leader, pids: Sequence[int], times: int) -> None:
        self._judge(leader, pids, times)
        self._kill_family(leader)

    def _kill_family(self, leader: Leader) -> None:
        if leader.family:
            killed = leader.kill_family()
            self._strays.update(killed if self._adopts else ())

    def _look(self) -> None:
        """Note which running task each orphan that fell to us came from, while that can still be told."""
        self.collect()
        if self._adopts:
            for pid in self._unknown_children():
                for leader in self.leaders.values():
                    if belongs(pid, leader):
                        leader.know([pid])
                        self._strays.add(pid)

    def _unknown_children(self) -> list[int]:
        return [pid for pid in own_children() if pid not in self.leaders and pid not in self._strays]

    def _collect_group(self, group: int) -> None:
        try:
            while os.wait4(-group, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            # Members whose parents are dying too may still fall to us.
            if not signal_group(group, signal.SIGKILL):
                self._groups.discard(group)

    def _collect_stray(self, pid: int) -> None:
        try:
            collected = os.wait4(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            collected = not psutil.pid_exists(pid)
        if collected:
            self._strays.discard(pid)


def belongs(pid: int, leader: Leader) -> bool | None:
    """Whether `pid`, a child that we did not start, came from `leader`'s task: by session or environment.

    None while it has no environment: for a moment in the middle of an exec, or because it was cleared.
    """
    with suppress(OSError, psutil.Error):
        if os.getsid(pid) == leader.pid:
            return os.getpgid(pid) != leader.pid  # its own group's members are collected with it
        environ = psutil.Process(pid).environ()
        return environ.get(SCRATCH) == leader.scratch if environ else None
    return False
