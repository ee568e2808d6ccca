"""Removing containers: by force, and again for as long as the engine fails to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from runner.adapters.docker.api import Api
from runner.adapters.docker.background import Background
from runner.adapters.docker.client import ApiError, NoAnswerError

log = structlog.get_logger()

# So long the caller waits; longer, in the background, the engine is given.
SOON = 10.0
GIVEN_UP_AFTER = 600.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0


class Remover:
    def __init__(self, api: Api) -> None:
        self._api = api
        self.background = Background()

    async def remove(self, *containers: str) -> bool:
        """Kill and remove, one after the other: who shares another's volume must be named first, or it
        would stay.

        True when they are gone; False if the engine cannot do it soon, and that is left to the background.
        """
        left = await self._insist(containers, SOON)
        if left:
            log.warning("cannot remove containers yet", containers=len(left))
            self.background.spawn(self._insist(left, GIVEN_UP_AFTER))
        return not left

    async def remove_once(self, *containers: str) -> bool:
        """The same, without another try: recovery finds what is left."""
        return not await self._insist(containers, 0.0)

    def later(self, *containers: str) -> None:
        """The same, without waiting."""
        self.background.spawn(self.remove(*containers))

    async def close(self, seconds: float) -> None:
        """Let what is under way go on so long."""
        await self.background.settle(seconds)
        await self.background.cancel()

    async def _insist(self, containers: Iterable[str], seconds: float) -> list[str]:
        """Try for so long. Returns those that are still there."""
        loop = asyncio.get_running_loop()
        pause, end = FIRST_PAUSE, loop.time() + seconds
        left = [name for name in containers if not await self._remove(name)]
        while left and loop.time() + pause < end:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            left = [name for name in left if not await self._remove(name)]
        return left

    async def _remove(self, container: str) -> bool:
        try:
            return await self._api.remove(container)
        except (ApiError, NoAnswerError) as error:
            log.debug("removal failed", container=container, error=str(error))
            return False
