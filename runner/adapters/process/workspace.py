"""What an attempt has beside its command: a scratch directory, and companion processes that share it."""

from __future__ import annotations

import asyncio

from runner.adapters.process import roll
from runner.adapters.process.leader import Leader
from runner.adapters.process.scratch import Scratch

GRACE = 2.0  # seconds between SIGTERM and SIGKILL


class Companion:
    """A sidecar: started before the command, ended after it."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._ended = asyncio.Event()
        leader.on_end = self._ended.set

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._leader.terminate()
        if not await self._ended_within(GRACE):
            self._leader.kill()
            await self._ended_within(GRACE)
        await self._leader.others_gone(GRACE)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True


class Workspace:
    """Taking one raises EngineUnavailable where no directory can be made."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self.directory = scratch.take()
        self.companions: list[Companion] = []
        self._roll: list[str] = []

    def enroll(self, pid: int) -> None:
        """A process was started here, the leader of a session."""
        entry = roll.entry(pid)
        if entry is not None:
            self._roll.append(entry)
            roll.write(self.directory, self._roll)

    async def clear(self) -> None:
        """End the companions, all at once, and give back the directory."""
        if self.companions:
            await asyncio.gather(*(companion.stop() for companion in self.companions))
        roll.write(self.directory, ())
        await self._scratch.give_back(self.directory)
