"""Stops the containers of an agent that is frozen or dead, and so cannot do it itself.

Runs as a small process of its own. It measures silence in its own looks, not by a clock: when a laptop sleeps, agent
and watchdog sleep together, and no clock step can make an agent seem dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_EVERY = 1.0


async def watch(
    read: Callable[[], tuple[str, str] | None],
    sweep: Callable[[], Awaitable[None]],
    agent_alive: Callable[[], bool],
    *,
    incarnation: str,
    patience: float,
) -> None:
    """Until the agent of `incarnation` ended well, was replaced by another, or was dead and its containers are gone.

    `patience`: seconds of silence after which `sweep` kills every container of the host.
    """
    last, silent = None, 0.0
    while True:
        seen = read()
        if seen is None or seen[0] != incarnation:
            return
        silent = 0.0 if seen != last else silent + LOOK_EVERY
        last = seen
        if silent >= patience:
            await sweep()
            if not agent_alive():
                return
            silent = 0.0
        await asyncio.sleep(LOOK_EVERY)
