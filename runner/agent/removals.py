"""Removing ended containers beside the work, since it takes as long as starting one, but never far behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Removals:
    def __init__(self, most: int) -> None:
        self._most = most
        self._pending: set[asyncio.Task[None]] = set()

    async def add(self, removal: Coroutine[Any, Any, None]) -> None:
        """Start it; wait only while too many are under way, so that dead containers cannot pile up."""
        task = asyncio.create_task(removal)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        while len(self._pending) > self._most:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)

    async def all_done(self) -> None:
        if self._pending:
            await asyncio.wait(self._pending)
