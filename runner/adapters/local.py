"""This machine, that nobody takes away: a laptop, a server, a desktop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil

from runner.adapters.cgroups import cpu_limit, memory_limit
from runner.ports import Capacity, Notice
from runner.settings import AgentSettings

LEAST_INODES = 0.01  # part of all


class LocalHost:
    """Implements `runner.ports.Host`. `home`: where logs and state are written; its disk must have room.

    `sharers`: how many agents divide what the machine has.
    """

    def __init__(
        self,
        name: str,
        settings: AgentSettings,
        home: Path,
        *,
        sharers: int = 1,
        disk: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self.name = name
        self.machine_type = ""
        self._settings = settings
        self._home = home
        self._sharers = sharers
        self._disk = disk

    def capacity(self) -> Capacity:
        """As set, else this agent's share of the machine or of our own container, less what is reserved."""
        return measure(self._settings, self._sharers)

    async def notice(self) -> Notice | None:
        return None

    async def health(self) -> str:
        try:
            disk = self._disk(self._home)
        except OSError as error:
            return f"cannot look at {self._home}: {os.strerror(error.errno or 0)}"
        free = disk.f_bavail * disk.f_frsize
        needed = self._settings.disk_reserve
        if free < needed:
            return f"disk low: {self._home} has {mib(free)} free, {mib(needed)} are needed (disk_reserve)"
        least = int(disk.f_files * LEAST_INODES)
        if disk.f_favail < least:
            return f"inodes low: {self._home} has {disk.f_favail} free, {least} are needed"
        return ""

    async def mend(self) -> None:
        """The disk is its owner's: nothing on it is ours to throw away."""

    async def protect(self, busy: bool) -> None:
        """Nobody scales this machine in."""

    async def spared(self) -> bool:
        return True

    async def retire(self) -> None:
        """The machine outlives its agent."""


def measure(settings: AgentSettings, sharers: int = 1) -> Capacity:
    vcpus = settings.vcpus
    if vcpus is None:
        vcpus = max(0.0, all_vcpus() - settings.reserved_vcpus) / sharers
    memory = settings.memory
    if memory is None:
        memory = max(0, all_memory() - settings.reserved_memory) // sharers
    return Capacity(vcpus, memory)


def all_vcpus() -> float:
    """Those this process may run on, or its container's part of them."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # macOS and BSD have none
    usable = len(affinity()) if affinity else psutil.cpu_count() or 1
    return min(float(usable), cpu_limit() or float(usable))


def all_memory() -> int:
    physical: int = psutil.virtual_memory().total
    return min(physical, memory_limit() or physical)


def mib(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"
