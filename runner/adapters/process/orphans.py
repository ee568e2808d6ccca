"""Ends what an agent that was killed left running: known by marks in its environment, by the roll, by descent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import psutil

from runner.adapters.process import roll
from runner.adapters.process.environment import HOST, SCRATCH
from runner.adapters.process.proctree import descendants, lives

ROUNDS = 10
PATIENCE = 5.0  # seconds for what was sent SIGKILL to be gone
PAUSE = 0.02


async def kill_orphans(host: str, root: str, wanted: Callable[[], bool]) -> set[str]:
    """SIGKILL to every process of `host` whose scratch directory is under `root`. Returns those directories.

    Two installations on one machine may call their hosts the same, hence `root`. Looks again until no new one
    turns up: a process may fork while it is being looked for; and as long as that is `wanted`, since these may by
    then be another agent's. Never ends itself or what it runs in.
    """
    this = psutil.Process()
    seen = {this, *this.parents()}
    found: set[str] = set()
    for _ in range(ROUNDS):
        orphans = await asyncio.to_thread(find_orphans, host, root, seen)
        if not orphans or not wanted():
            break
        for process in orphans:
            with suppress(psutil.Error):
                process.kill()
        await _gone(orphans)
        seen.update(orphans)
        found.update(orphans.values())
    return found


def find_orphans(host: str, root: str, besides: Collection[psutil.Process]) -> Mapping[psutil.Process, str]:
    """Each such process with its scratch directory: those that are marked, those of a session that one of them
    leads or that is on the roll, and whatever descends from any.
    """
    everyone = list(psutil.process_iter())
    found: dict[psutil.Process, str] = {}
    sessions = dict(roll.read(root))
    for process in everyone:
        directory = _marked(process, host, root)
        if directory:
            found[process] = directory
            sessions.setdefault(process.pid, directory)
    for process in everyone:
        with suppress(OSError):
            directory = sessions.get(os.getsid(process.pid), "")
            if directory:
                found.setdefault(process, directory)
    for process, directory in list(found.items()):
        for pid in descendants(process.pid):
            with suppress(psutil.Error):
                found.setdefault(psutil.Process(pid), directory)
    return {process: directory for process, directory in found.items() if process not in besides}


def _marked(process: psutil.Process, host: str, root: str) -> str:
    """The scratch directory in its environment; empty for one that is not ours, or does not show it."""
    with suppress(psutil.Error, OSError):
        environ = process.environ()
        directory = environ.get(SCRATCH, "")
        if environ.get(HOST) == host and directory.startswith(f"{root}/"):
            return directory
    return ""


async def _gone(processes: Collection[psutil.Process]) -> None:
    """Wait for them. `psutil.wait_procs` would take the statuses of those that are our own children."""
    for _ in range(int(PATIENCE / PAUSE)):
        if not any(map(lives, processes)):
            return
        await asyncio.sleep(PAUSE)
