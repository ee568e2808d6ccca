"""Why, until when and with what consequence an agent leaves. Reasons add up: the nearest end counts."""

from __future__ import annotations

import asyncio
import math

import structlog

from runner.agent.holding import Holding
from runner.outcomes import StopCause
from runner.ports import Clock, Notice

log = structlog.get_logger()

# Seconds before the host's end by which every message must be free again, so that its task runs elsewhere.
RELEASE_BEFORE = 20.0
# Of those before, what recording and releasing take once the container has stopped.
RECORDING = 5.0


class Departure:
    """Times are the loop's. A notice's wall-clock time is read once: later steps of the clock do not move it."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._notice: Notice | None = None
        self._interrupt_at = math.inf
        self._cut_at = math.inf
        self._over_by = math.inf
        self.begun = asyncio.Event()
        self.reason = ""
        self.for_good = False

    def begin(self, reason: str, *, within: float = math.inf, grace: float = math.inf) -> None:
        """Take no more. What runs is interrupted after `within` seconds, and then has `grace` at most to stop."""
        self._interrupt_at = min(self._interrupt_at, asyncio.get_running_loop().time() + within)
        self._cut_at = min(self._cut_at, self._interrupt_at + grace)
        if not self.begun.is_set():
            log.info("draining", reason=reason, within=within)
            self.reason = reason
            self.begun.set()

    def retire(self, reason: str) -> None:
        """The machine is not needed any more and goes with the agent."""
        self.for_good = True
        self.begin(reason)

    def heed(self, notice: Notice) -> None:
        """The machine goes, like it or not; what runs has as long as the notice leaves it."""
        if notice == self._notice:
            return
        self._notice = notice
        log.warning("the host is going away", reason=notice.reason, at=notice.at)
        if notice.at is not None:
            left = notice.at - self._now() - RELEASE_BEFORE - RECORDING
            self._over_by = min(self._over_by, asyncio.get_running_loop().time() + left)
            self.reason = notice.reason
        self.retire(notice.reason)

    def interrupt(self, holding: Holding) -> None:
        """Stop what has no more time: as late as its own grace allows."""
        if asyncio.get_running_loop().time() >= min(self._interrupt_at, self._over_by - holding.grace):
            holding.stop(StopCause.INTERRUPTED, self.reason, min(self._over_by, self._cut_at))

    @property
    def patient(self) -> bool:
        """The machine is taken away, and nobody said when."""
        return self._notice is not None and self._over_by == math.inf
