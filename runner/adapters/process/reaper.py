"""Collects the exit statuses of this process's tasks: one SIGCHLD handler for each event loop, no thread."""

from __future__ import annotations

import asyncio
import os
import signal
import weakref
from contextlib import suppress

import psutil

from runner.adapters.process.environment import MARK
from runner.adapters.process.leader import NO_SIGNAL, Leader, signal_group
from runner.adapters.process.limits import Sampler
from runner.adapters.process.proctree import adopt_orphans, descendants, is_adopted_corpse, own_children
from runner.errors import EngineUnavailable

LOOKS = 3
PAUSE = 0.05  # seconds between them

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
        # Children from before any task (an agent's watchdog) are no task's: not to be asked about at each end.
        self._others = frozenset(own_children())
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
        if signal_group(leader.pid, signal.SIGKILL):
            leader.outlived = True
            if self._adopts:
                self._groups.add(leader.pid)
        self._end_escaped(leader)
        leader.on_end()

    def _end_escaped(self, leader: Leader, looks: int = LOOKS) -> None:
        """Kill what left the leader's group. Look again a little later if there was any: it may fork."""
        again = False
        for pid in self._unknown_children():
            verdict = belongs(pid, leader)
            if verdict:
                leader.know([pid, *descendants(pid)])
            again = again or verdict is None
        if leader.family:
            killed = leader.kill_family()
            leader.outlived = leader.outlived or bool(killed)
            again = again or bool(killed)
            self._strays.update(killed if self._adopts else ())
        if again and looks > 1:
            asyncio.get_running_loop().call_later(PAUSE, self._end_escaped, leader, looks - 1)

    def _look(self) -> None:
        """Note which running task each orphan that fell to us came from, while that can still be told."""
        self.collect()
        for pid in self._unknown_children():
            for leader in self.leaders.values():
                if belongs(pid, leader):
                    leader.know([pid])
                    self._strays.add(pid)

    def _unknown_children(self) -> list[int]:
        if not self._adopts:
            return []
        known = self.leaders.keys() | self._strays | self._others
        unknown = [pid for pid in own_children() if pid not in known]
        corpses = [pid for pid in unknown if is_adopted_corpse(pid)]
        for pid in corpses:
            self._collect_stray(pid)
        return [pid for pid in unknown if pid not in corpses]

    def _collect_group(self, group: int) -> None:
        try:
            while os.wait4(-group, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            # Members whose parents are dying too may still fall to us.
            if not signal_group(group, NO_SIGNAL):
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

    None while it lives without an environment: for a moment within an exec, or because it was cleared.
    """
    with suppress(OSError, psutil.Error):
        if os.getsid(pid) == leader.pid:
            return os.getpgid(pid) != leader.pid  # its own group's members are collected with it
        process = psutil.Process(pid)
        environ = process.environ()
        if environ or process.status() == psutil.STATUS_ZOMBIE:
            return environ.get(MARK) == leader.mark
        return None
    return False
