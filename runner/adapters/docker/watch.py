"""Who sent a container a signal, and whether the engine itself is going away.

An engine that is stopped or restarted first stops every container, and then a program it ended looks like
one that ended by itself, maybe with success. It tells of the signals it sends, and it takes no new
connections any more.
"""

from __future__ import annotations

import asyncio
import json

import aiohttp

from runner.adapters.docker.api import Api
from runner.adapters.docker.client import ApiError, NoAnswerError
from runner.adapters.docker.spec import Owner

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
PING = 2.0


class SignalWatch:
    """Follows the engine's events for this host's containers."""

    def __init__(self, api: Api, owner: Owner) -> None:
        self._api = api
        self._owner = owner
        self._watched: dict[str, bool] = {}
        self.breaks = 0
        """How often the events ended, as they do with the engine."""

    def add(self, container: str) -> None:
        self._watched.setdefault(container, False)

    def discard(self, container: str) -> None:
        self._watched.pop(container, None)

    def signalled(self, container: str) -> bool:
        """Whether the engine sent it a signal, on whoever's behalf."""
        return self._watched.get(container, False)

    async def engine_is_leaving(self) -> bool:
        """Whether the engine is shutting down, or has been restarted while we asked."""
        breaks = self.breaks
        answers = await self._api.client.answers_anew(PING)
        return not answers or self.breaks != breaks

    async def run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._follow(await self._api.kill_events(self._owner.labels))
                pause = FIRST_PAUSE
            except (ApiError, NoAnswerError, aiohttp.ClientError, OSError, ValueError):
                pause = min(LONGEST_PAUSE, 2 * pause)
            self.breaks += 1
            await asyncio.sleep(pause)

    async def _follow(self, response: aiohttp.ClientResponse) -> None:
        async with response:
            async for line in response.content:
                container = (json.loads(line).get("Actor") or {}).get("ID")
                if container in self._watched:
                    self._watched[container] = True
