"""One spawned command, the leader of its own session and process group, with all that descends from it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

from runner.adapters.process.proctree import descendants, lives

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

PAUSE = 0.01
NO_SIGNAL = 0  # only tells whether anyone is there

# Linux counts the moment between fork and exec: a child's peak is never less than the agent's own, and says
# something only when it is more. The margin covers counters that the kernel keeps only approximately.
_DOUBT = 1 << 20


class Leader:
    """Only the reaper waits for it: while `running`, its pid cannot have become another process's.

    `mark` is in the environment of all of them, `memory` their limit, `since` the loop's time of the start.
    `family` holds descendants seen so far, so that those which leave the group are still found.
    """

    def __init__(self, pid: int, mark: str, memory: int, since: float) -> None:
        self.pid = pid
        self.mark = mark
        self.memory = memory
        self.since = since
        self.on_end: Callable[[], None] = _nobody
        self.running = True
        self.status: int | None = None  # as wait4 gives it; None after the end: someone else took it
        self.cpu_seconds = 0.0
        self.peak: int | None = None
        self.out_of_memory = False
        self.outlived = False  # others of the tree had to be killed after it ended
        self.family: dict[int, psutil.Process] = {}
        self._floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT + _DOUBT

    def account(self, usage: resource.struct_rusage) -> None:
        """Add what the leader, or a member of its group that was left to us, has used."""
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        used = usage.ru_maxrss * MAXRSS_UNIT
        if used > self._floor:
            self.saw_memory(used)

    def saw_memory(self, used: int) -> None:
        self.peak = max(used, self.peak or 0)

    def terminate(self) -> None:
        """Ask it to end, and it alone, as container engines do: how its children end is its own affair.

        What was stopped has to run to hear it.
        """
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            signal_group(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the group and to every descendant, wherever it went. Nothing to do once it has ended."""
        if self.running:
            self.know(descendants(self.pid))
            signal_group(self.pid, signal.SIGKILL)
            self.kill_family()

    def know(self, pids: Iterable[int]) -> None:
        for pid in pids:
            if pid not in self.family:
                try:
                    self.family[pid] = psutil.Process(pid)
                except psutil.Error:
                    continue

    def kill_family(self) -> list[int]:
        """SIGKILL to the descendants seen so far. Returns those that were still there."""
        found = []
        for pid, process in self.family.items():
            try:
                process.kill()
            except psutil.Error:
                continue
            found.append(pid)
        return found

    async def others_gone(self, patience: float) -> None:
        """Wait till those who outlived it are gone, too. They were sent SIGKILL, and it takes a moment."""
        if not self.outlived:
            return
        for _ in range(int(patience / PAUSE)):
            if not self._others():
                return
            await asyncio.sleep(PAUSE)

    def _others(self) -> bool:
        return signal_group(self.pid, NO_SIGNAL) or any(map(lives, self.family.values()))


def _nobody() -> None:
    """Nobody wants to know yet."""


def signal_group(group: int, number: int) -> bool:
    """Whether anyone was there to receive it. A group of nothing but corpses refuses on macOS."""
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True
