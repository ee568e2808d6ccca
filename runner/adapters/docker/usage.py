"""Peak memory and CPU time of an attempt.

Best is a control group of the attempt's own, above the container's: it outlives the container, so that even
one of 50 ms is measured to the end. That needs the engine on this machine, its plain `cgroupfs` driver, the
right to write there, and a kernel that keeps a group's peak. Otherwise the container is sampled while it lives:
its control group's files where they can be read, else the engine's statistics; then what it used after the last
sample is missing, and the shortest tasks have no figures at all.

The figures include setting the container up: some 4 MB and up to 0.1 s of CPU time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from runner.adapters.docker.api import Api, Details
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.ending import NOTHING_MEASURED, Measured
from runner.adapters.docker.hierarchy import Tree
from runner.adapters.docker.spec import Owner
from runner.model import Usage

FIRST_FILES, FIRST_STATS = 0.2, 2.0
SLOWER = 1.5
SLOWEST_FILES, SLOWEST_STATS = 5.0, 30.0


class Meter(Protocol):
    @property
    def parent(self) -> str | None:
        """The control group to start the container in; None for the engine's choice."""
        ...

    async def watch(self, container: str, /) -> None:
        """Runs beside the container, until it is cancelled."""
        ...

    def read(self) -> Measured:
        """The figures, once the container has ended."""
        ...

    def close(self) -> None: ...


class GroupMeter:
    """Reads the attempt's own group, after its end."""

    def __init__(self, tree: Tree, group: str, unseen: Callable[[], None]) -> None:
        self.parent = group
        self._tree = tree
        self._unseen = unseen

    async def watch(self, _container: str) -> None:
        return

    def read(self) -> Measured:
        measured = self._tree.measure(self.parent)
        if measured is None:
            self._unseen()
        return measured or NOTHING_MEASURED

    def close(self) -> None:
        self._tree.remove(self.parent)


class Sampler:
    """Asks while the container lives, less often the longer it does."""

    parent = None

    def __init__(self, api: Api, tree: Tree | None) -> None:
        self._api = api
        self._tree = tree
        self._peak: int | None = None
        self._last = NOTHING_MEASURED

    async def watch(self, container: str) -> None:
        try:
            await self._sample_files(container)
            await self._sample_statistics(container)
        except (ApiError, NoAnswerError):
            return

    def read(self) -> Measured:
        return self._last

    def close(self) -> None:
        return

    async def _sample_files(self, container: str) -> None:
        pause = FIRST_FILES
        await asyncio.sleep(pause)
        while self._tree and (measured := _of_container(self._tree, container)) is not None:
            self._note(measured)
            pause = min(SLOWEST_FILES, pause * SLOWER)
            await asyncio.sleep(pause)

    async def _sample_statistics(self, container: str) -> None:
        pause = FIRST_STATS
        while True:
            await asyncio.sleep(pause)
            self._take(await self._api.stats(container))
            pause = min(SLOWEST_STATS, pause * SLOWER)

    def _take(self, stats: Details) -> None:
        memory, cpu = stats.get("memory_stats") or {}, (stats.get("cpu_stats") or {}).get("cpu_usage") or {}
        used = memory.get("max_usage") or memory.get("usage")
        total = cpu.get("total_usage")
        usage = Usage(None if used is None else int(used), None if total is None else total * 1e-9)
        self._note(Measured(usage))

    def _note(self, measured: Measured) -> None:
        used = measured.usage.peak_memory
        if used is not None:
            self._peak = max(self._peak or 0, used)
        self._last = replace(measured, usage=replace(measured.usage, peak_memory=self._peak))


class Meters:
    """Which meter this engine allows."""

    def __init__(self, api: Api, owner: Owner, info: Details, tree: Tree | None = None) -> None:
        self._api = api
        self._tree = tree or (Tree() if sys.platform == "linux" and api.client.address.socket else None)
        self._top = f"/runner/{owner.digest}"
        self._own_groups = (
            self._tree is not None
            and info.get("CgroupDriver") == "cgroupfs"
            and self._tree.writable
            and self._tree.keeps_peaks
        )

    def meter(self, task: str) -> Meter:
        """For a container about to be made."""
        group = f"{self._top}/{task}"
        if self._own_groups and self._tree is not None:
            self._tree.remove(group)  # one left by a crash would hold old figures
        return self.adopted(group)

    def adopted(self, parent: str) -> Meter:
        """For a container that was started in the group `parent`."""
        if self._own_groups and self._tree is not None and parent.startswith(f"{self._top}/"):
            return GroupMeter(self._tree, parent, self._not_ours)
        return Sampler(self._api, self._tree)

    def clean(self, keep: Collection[str] = ()) -> None:
        """Remove the groups of tasks that have ended, but for those to `keep`."""
        if self._own_groups and self._tree is not None:
            for name in self._tree.children(self._top) - set(keep):
                self._tree.remove(f"{self._top}/{name}")
            self._tree.remove(self._top)

    def _not_ours(self) -> None:
        # The engine's groups are not the ones we see (another machine, a container of our own): make no
        # more of them.
        self._own_groups = False


def _of_container(tree: Tree, container: str) -> Measured | None:
    """From where engines put containers' groups by default, with either driver."""
    found = (tree.measure(f"system.slice/docker-{container}.scope"), tree.measure(f"docker/{container}"))
    return next((measured for measured in found if measured is not None), None)
