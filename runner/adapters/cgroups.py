"""What a container that we run in ourselves may use, where Linux tells: version 1 and 2 of control groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc/self/cgroup")


def cpu_limit(proc: Path = PROC, root: Path = ROOT) -> float | None:
    """CPUs, the least of this group's and those above it; None: no limit, or none that we can read."""
    found = [_quota(group) for group in _groups(proc, root, "cpu")]
    return min((quota for quota in found if quota is not None), default=None)


def memory_limit(proc: Path = PROC, root: Path = ROOT) -> int | None:
    """Bytes, likewise."""
    names = ("memory.max", "memory.limit_in_bytes")
    found = [_number(group / name) for group in _groups(proc, root, "memory") for name in names]
    return min((int(limit) for limit in found if limit is not None), default=None)


def _quota(group: Path) -> float | None:
    """CPU time allowed per time: version 2's `cpu.max` ("200000 100000", "max 100000") or 1's two files."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    try:
        return float(quota) / float(period) if float(quota) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _groups(proc: Path, root: Path, controller: str) -> Iterator[Path]:
    """The directories of our group and of all above it, for one controller, in either version.

    Lines of `/proc/self/cgroup` are `number:controllers:path`; version 2's names no controllers. Inside a
    container the path may be one that only the host sees: its own group is what is mounted at the root.
    """
    for line in _text(proc).splitlines():
        controllers, colon, path = line.partition(":")[2].partition(":")
        if not colon or (controllers and controller not in controllers.split(",")):
            continue
        top = root / controllers if controllers else root
        group = top / path.lstrip("/")
        while group != top:
            yield group
            group = group.parent
        yield top
