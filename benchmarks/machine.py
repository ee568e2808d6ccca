"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil

SYNCS = 200


def describe(space: Path) -> dict[str, object]:
    """The machine, its programs, and how long its disk takes to make one small write durable."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "docker": _docker(),
        "file_system": _file_system(space),
        "fsync_microseconds": round(fsync_seconds(space) * 1e6),
    }


def fsync_seconds(space: Path) -> float:
    """The median time of appending 4 KiB to a file and syncing it."""
    path = space / "fsync"
    samples = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            samples.append(time.perf_counter() - begun)
    path.unlink()
    return sorted(samples)[len(samples) // 2]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _docker() -> str | None:
    if not shutil.which("docker"):
        return None
    asked = subprocess.run(
        ["docker", "info", "--format", "{{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


def _file_system(space: Path) -> str:
    place = str(space.resolve())
    mounts = [part for part in psutil.disk_partitions(all=True) if place.startswith(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
