"""Control groups as files, where the engine runs on this machine and this machine is Linux."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.docker.ending import Measured
from runner.model import Usage


@dataclass(frozen=True)
class Tree:
    """The control groups as this machine has them: one hierarchy (version 2), or one for each controller."""

    root: Path = Path("/sys/fs/cgroup")

    @property
    def unified(self) -> bool:
        return (self.root / "cgroup.controllers").exists()

    @property
    def writable(self) -> bool:
        return os.access(self.root if self.unified else self.root / "memory", os.W_OK)

    @property
    def keeps_peaks(self) -> bool:
        """Whether a group's highest memory is known after its end. Version 2 does since Linux 5.19; which
        groups there are to tell by, other than the topmost, is the machine's affair.
        """
        groups = (self.root, *self.root.iterdir()) if self.unified else ()
        return not self.unified or any((group / "memory.peak").exists() for group in groups)

    def measure(self, group: str) -> Measured | None:
        """None if there is no such group, or not here. Where no peaks are kept, what it uses now is taken
        for the peak.
        """
        group = group.strip("/")
        memory = self.root / group if self.unified else self.root / "memory" / group
        cpu = self.root / group if self.unified else self.root / "cpuacct" / group
        if not memory.is_dir():
            return None
        if self.unified:
            seconds = _field(cpu / "cpu.stat", "usage_usec", 1e-6)
            peak = _integer(memory / "memory.peak")
            if peak is None:
                peak = _integer(memory / "memory.current")
            return Measured(Usage(peak, seconds), int(_field(memory / "memory.events", "oom_kill", 1) or 0))
        nanoseconds = _integer(cpu / "cpuacct.usage")
        seconds = None if nanoseconds is None else nanoseconds * 1e-9
        peak = _integer(memory / "memory.max_usage_in_bytes")
        return Measured(Usage(peak, seconds), int(_field(memory / "memory.oom_control", "oom_kill", 1) or 0))

    def remove(self, group: str) -> None:
        """The group itself, with nothing in it any more, in every hierarchy."""
        for top in self._hierarchies():
            try:
                (top / group.strip("/")).rmdir()
            except OSError:
                continue  # not there, or still in use: then there is another time

    def children(self, group: str) -> set[str]:
        """Names of the groups right below."""
        found: set[str] = set()
        for top in self._hierarchies():
            try:
                found |= {entry.name for entry in (top / group.strip("/")).iterdir() if entry.is_dir()}
            except OSError:
                continue
        return found

    def _hierarchies(self) -> Iterable[Path]:
        if self.unified:
            return [self.root]
        return [path for path in self.root.iterdir() if path.is_dir() and not path.is_symlink()]


def _integer(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str, unit: float) -> float | None:
    try:
        fields = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
        return float(fields[name]) * unit
    except (OSError, ValueError, KeyError):
        return None
