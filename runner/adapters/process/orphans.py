"""Ends what an agent that was killed left running: every task's environment carries marks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

import psutil

from runner.adapters.process.environment import HOST, SCRATCH
from runner.adapters.process.proctree import lives

ROUNDS = 10
PATIENCE = 5.0  # seconds for what was sent SIGKILL to be gone
PAUSE = 0.02


async def kill_marked(host: str, root: str) -> set[str]:
    """SIGKILL to every process of `host` whose scratch directory is under `root`. Returns those directories.

    Two installations on one machine may call their hosts the same, hence `root`. Looks again until no new one
    turns up: a process may fork while it is being looked for. Never ends itself or what it runs in.
    """
    this = psutil.Process()
    seen = {this, *this.parents()}
    found: set[str] = set()
    for _ in range(ROUNDS):
        marked = await asyncio.to_thread(find_marked, host, root, seen)
        if not marked:
            break
        for process in marked:
            with suppress(psutil.Error):
                process.kill()
        await _gone(marked)
        seen.update(marked)
        found.update(marked.values())
    return found


def find_marked(host: str, root: str, besides: Collection[psutil.Process]) -> Mapping[psutil.Process, str]:
    """Each such process with its scratch directory. What hides its environment from us is not ours."""
    marked: dict[psutil.Process, str] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environ = process.environ()
            directory = environ.get(SCRATCH, "")
            if environ.get(HOST) == host and directory.startswith(f"{root}/") and process not in besides:
                marked[process] = directory
    return marked


async def _gone(processes: Collection[psutil.Process]) -> None:
    """Wait for them. `psutil.wait_procs` would take the statuses of those that are our own children."""
    for _ in range(int(PATIENCE / PAUSE)):
        if not any(map(lives, processes)):
            return
        await asyncio.sleep(PAUSE)
