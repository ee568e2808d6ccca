"""Stops the containers of an agent that is frozen or dead, and so cannot do it itself.

Runs as a small process of its own. It measures silence in its own looks, not by a clock: when a laptop sleeps, agent
and watchdog sleep together, and no clock step can make an agent seem dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_EVERY = 1.0
LONGEST_PAUSE = 60.0


async def watch(
    read: Callable[[], tuple[str, str] | None],
    sweep: Callable[[Callable[[], bool]], Awaitable[bool]],
    agent_alive: Callable[[], bool],
    *,
    incarnation: str,
    patience: float,
) -> None:
    """Until the agent of `incarnation` ended well, was replaced by another, or was dead and its containers are gone.

    `patience`: seconds of silence after which `sweep` kills every container of the host. It says whether all are gone;
    if not, because an engine does not answer, it is tried again and again. It asks whether the silence lasts: an engine
    may take so long to say what there is that another agent has begun something new by then.
    """
    last, silent, pause = None, 0.0, LOOK_EVERY
    while True:
        seen = read()
        if seen is None or seen[0] != incarnation:
            return
        if seen != last:
            last, silent, pause = seen, 0.0, LOOK_EVERY
        else:
            silent += LOOK_EVERY
        if silent >= patience:
            lasts = _lasts(read, seen)
            if not await sweep(lasts):
                silent, pause = patience - pause, min(LONGEST_PAUSE, 2 * pause)
            elif agent_alive() or not lasts():  # then something may be left, though the agent is dead by now
                silent = 0.0
            else:
                return
        await asyncio.sleep(LOOK_EVERY)


def _lasts(read: Callable[[], tuple[str, str] | None], silence: tuple[str, str] | None) -> Callable[[], bool]:
    return lambda: read() == silence
