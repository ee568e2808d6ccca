"""A lease and its attempt, as one thing that can be lost, cancelled or interrupted while it is held."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass

from runner.agent.capture import Capture
from runner.environment import parse_metadata
from runner.model import Attempt, Lease
from runner.outcomes import StopCause
from runner.ports import Container, LogWriter


@dataclass(frozen=True, slots=True)
class Started:
    """A container and where its output goes."""

    container: Container
    capture: Capture
    writer: LogWriter

    async def metadata(self) -> Mapping[str, str]:
        """What the task reports of itself. It may print its secrets there as well as into its log."""
        return parse_metadata(self.capture.redacted(await self.container.metadata()))


class Holding:
    """What the heartbeat renews and the execution obeys. The first reason to stop is the one that counts.

    `grace` is what its task may take to stop. In the loop's time: `held_until` is when another host may take the
    attempt over unless the ledger has seen a beat, `over_by` when a container that was told to stop must have done so.
    `lapsed`: its lease was not renewed in time, whatever it had been told to stop for by then.
    """

    def __init__(self, lease: Lease, attempt: Attempt, grace: float) -> None:
        self.lease = lease
        self.attempt = attempt
        self.grace = grace
        self.over_by = math.inf
        self.held_until = lease.hidden_until
        self._told: tuple[float, float] | None = None
        self.lapsed = False
        self.started: Started | None = None
        self.metadata: Mapping[str, str] = {}
        self.detail = ""
        self.stopped: asyncio.Future[StopCause] = asyncio.get_running_loop().create_future()

    def stop(self, cause: StopCause, detail: str = "", over_by: float = math.inf) -> None:
        if not self.stopped.done():
            self.detail = detail
            self.over_by = over_by
            self.stopped.set_result(cause)

    def tell(self, at: float) -> None:
        """Its container is told to stop, or was by an earlier agent: `at` in epoch seconds as the engine counts."""
        self._told = at, asyncio.get_running_loop().time()

    def told_at(self, now: float) -> float | None:
        """When it was told, as the engine counts `now`: were the clock set back since, what came later would seem to
        have come before."""
        if self._told is None:
            return None
        at, noted = self._told
        return min(at, now - (asyncio.get_running_loop().time() - noted))

    def renewed(self, held_until: float) -> None:
        self.held_until = held_until

    @property
    def cause(self) -> StopCause | None:
        return self.stopped.result() if self.stopped.done() else None
