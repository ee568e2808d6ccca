"""Removing containers: by force, and again for as long as the engine fails to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from runner.adapters.docker.api import Api
from runner.adapters.docker.background import Background
from runner.adapters.docker.client import ApiError, NoAnswerError

log = structlog.get_logger()

TRIES = 5
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
GIVEN_UP_AFTER = 600.0


class Remover:
    def __init__(self, api: Api) -> None:
        self._api = api
        self.background = Background()

    async def remove(self, *containers: str) -> bool:
        """Kill and remove, one after the other: who shares another's volume must be named first, or it
        would stay.

        True when they are gone; False if the engine cannot do it soon, and that is left to the background.
        """
        left = await self._remove_all(containers, TRIES)
        if left:
            log.warning("cannot remove containers yet", containers=len(left))
            self.background.spawn(self._keep_removing(left))
        return not left

    async def remove_once(self, *containers: str) -> bool:
        """The same, without another try: recovery finds what is left."""
        return not await self._remove_all(containers, 1)

    def later(self, *containers: str) -> None:
        """The same, without waiting."""
        self.background.spawn(self.remove(*containers))

    async def close(self, seconds: float) -> None:
        """Let what is under way go on so long."""
        await self.background.settle(seconds)
        await self.background.cancel()

    async def _keep_removing(self, containers: Iterable[str]) -> None:
        pause = 1.0
        loop = asyncio.get_running_loop()
        end = loop.time() + GIVEN_UP_AFTER
        left = list(containers)
        while left and loop.time() < end:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
            left = await self._remove_all(left, 1)

    async def _remove_all(self, containers: Iterable[str], tries: int) -> list[str]:
        return [name for name in containers if not await self._remove(name, tries)]

    async def _remove(self, container: str, tries: int) -> bool:
        for tried in range(tries):
            if tried:
                await asyncio.sleep(FIRST_PAUSE * 2**tried)
            try:
                if await self._api.remove(container):
                    return True
            except (ApiError, NoAnswerError) as error:
                log.debug("removal failed", container=container, error=str(error))
        return False
