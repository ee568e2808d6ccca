"""Who was started with which scratch directory, written beside it for an agent that comes after.

A task may clear its environment, with all marks; its session, and who descends from it, it cannot. There is
one file for each directory, written over in place: making and removing one for each task would take too long.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

import psutil

from runner.adapters.process.proctree import started

SUFFIX = ".roll"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def path_of(directory: str) -> str:
    return directory + SUFFIX


def entry(pid: int) -> str | None:
    """A line for a living process, or one that nobody has waited for yet."""
    since = started(pid)
    return None if since is None else f"{pid} {_boot()} {since}"


def write(directory: str, entries: Sequence[str]) -> None:
    """Put these in the place of what was there. Without: an orphan is still known by its environment."""
    with contextlib.suppress(OSError):
        file = os.open(path_of(directory), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            # An empty line is the end, whatever longer one stood here before.
            os.write(file, "".join(f"{line}\n" for line in (*entries, "")).encode())
        finally:
            os.close(file)


def drop(directory: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path_of(directory))


def read(root: str) -> Mapping[int, str]:
    """Each session that was led from a scratch directory below `root`, with that directory.

    Left out are those whose number is another process's by now. One whose leader has ended keeps its number
    for as long as it has members.
    """
    found = {}
    for file in Path(root).glob(f"*{SUFFIX}"):
        for line in _lines(file):
            with contextlib.suppress(ValueError):  # a task may write there, too
                pid, boot, since = line.split(" ")
                if boot == _boot() and started(int(pid)) in (since, None):
                    found[int(pid)] = str(file).removesuffix(SUFFIX)
    return found


def _lines(file: Path) -> list[str]:
    try:
        return list(takewhile(bool, file.read_text().split("\n")))
    except (OSError, ValueError):
        return []


@cache
def _boot() -> str:
    """Numbers of processes, and when they started, mean something only within one run of the system."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return repr(psutil.boot_time())
