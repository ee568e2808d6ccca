"""Removing containers: by force, and again for as long as the engine fails to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection

import structlog

from runner.adapters.docker.api import Api
from runner.adapters.docker.background import Background
from runner.adapters.docker.client import ApiError, NoAnswerError

log = structlog.get_logger()

# So long the caller waits; longer, in the background, it goes on.
SOON = 10.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0

# What is no task's does no harm, and recovery finds it.
GIVEN_UP_AFTER = 600.0


class Remover:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._pending: dict[str, set[asyncio.Task[bool]]] = {}
        self.background = Background()

    async def remove(self, *containers: str, shard: str = "") -> bool:
        """Kill and remove, one after the other: who shares another's volume must be named first, or it
        would stay.

        True when they are gone; False if the engine cannot do it soon, and that is left to the background.
        There a task's are never given up: the next attempt must not run beside them.
        """
        work = self._begin(containers, shard)
        await asyncio.wait((work,), timeout=SOON)
        if not work.done():
            log.warning("cannot remove containers yet", containers=len(containers), task=shard)
        return work.done() and not work.cancelled() and work.result()

    async def remove_once(self, *containers: str) -> bool:
        """The same, without another try: recovery finds what is left."""
        return await self._insist(containers, 0.0)

    def later(self, *containers: str, shard: str = "") -> None:
        """The same as `remove`, without waiting."""
        self._begin(containers, shard)

    async def none_left(self, shard: str, seconds: float) -> bool:
        """Wait so long for all removals of a task that have begun. True when they are done."""
        pending = self._pending.get(shard)
        return not pending or not (await asyncio.wait(set(pending), timeout=seconds))[1]

    async def close(self, seconds: float) -> None:
        """Let what is under way go on so long."""
        await self.background.settle(seconds)
        await self.background.cancel()

    def _begin(self, containers: Collection[str], shard: str) -> asyncio.Task[bool]:
        work = self.background.spawn(self._insist(containers, math.inf if shard else GIVEN_UP_AFTER))
        if shard:
            self._pending.setdefault(shard, set()).add(work)
            work.add_done_callback(lambda _: self._ended(shard, work))
        return work

    def _ended(self, shard: str, work: asyncio.Task[bool]) -> None:
        self._pending[shard].discard(work)
        if not self._pending[shard]:
            del self._pending[shard]

    async def _insist(self, containers: Collection[str], seconds: float) -> bool:
        """Try for so long. True when all are gone."""
        loop = asyncio.get_running_loop()
        pause, end = FIRST_PAUSE, loop.time() + seconds
        left = [name for name in containers if not await self._remove(name)]
        while left and loop.time() + pause < end:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            left = [name for name in left if not await self._remove(name)]
        return not left

    async def _remove(self, container: str) -> bool:
        try:
            return await self._api.remove(container)
        except (ApiError, NoAnswerError) as error:
            log.debug("removal failed", container=container, error=str(error))
            return False
