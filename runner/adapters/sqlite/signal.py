"""Wakes the coroutines of one process that wait for something to change."""

from __future__ import annotations

import asyncio


class Signal:
    """`listen` before looking, `wait` after having seen nothing: what comes in between is not missed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def listen(self) -> asyncio.Event:
        return self._event

    def notify(self) -> None:
        self._event.set()
        self._event = asyncio.Event()
