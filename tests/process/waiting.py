from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil


async def until(fact: Callable[[], bool], seconds: float = 10.0) -> None:
    """Real processes take their own time: wait for `fact`, and fail if it does not come."""
    async with asyncio.timeout(seconds):
        while not fact():
            await asyncio.sleep(0.01)


async def pid_in(file: Path) -> int:
    """What a task writes there."""
    found: list[str] = []

    def written() -> bool:
        found[:] = file.read_text().split() if file.exists() else []
        return bool(found)

    await until(written)
    return int(found[0])


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_for_good(pid: int) -> None:
    """For one that nobody can tell to be a task's: it has become our child, if anybody's."""
    os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def zombies() -> list[int]:
    """Children of this process that nobody has waited for."""
    return [child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
