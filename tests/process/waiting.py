from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil


async def until(fact: Callable[[], bool], seconds: float = 10.0) -> None:
    """Real processes take their own time: wait for `fact`, and fail if it does not come."""
    async with asyncio.timeout(seconds):
        while not fact():
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def zombies() -> list[int]:
    """Children of this process that nobody has waited for."""
    return [child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
