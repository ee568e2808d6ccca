"""How often a backend asks its service: ever less often while that throttles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from controller.faults import Faults
from runner.aws import AwsError, Trouble

log = structlog.get_logger()

# Who was not asked for so long, in seconds, has not led meanwhile, and what was remembered may be wrong.
STALE = 60.0


class Restraint:
    """`trouble`: why the service was not looked at the last time; empty if it was. Pauses, in seconds, begin with
    `interval` and double up to `longest`. `jitter` gives random numbers in [0, 1)."""

    def __init__(self, service: str, interval: float, longest: float, jitter: Callable[[], float]) -> None:
        self._slower = f"{service} is asked less often"
        self._interval = interval
        self._longest = longest
        self._jitter = jitter
        self._asked_at = self._resume_at = float("-inf")
        self._pause = 0.0
        self.trouble = ""

    @property
    def pausing(self) -> bool:
        return asyncio.get_running_loop().time() < self._resume_at

    def stale(self) -> bool:
        """Whether what is remembered is too old to be relied on; to be asked whenever the backend is."""
        before, self._asked_at = self._asked_at, asyncio.get_running_loop().time()
        return self._asked_at - before > STALE

    async def gently(self, work: Coroutine[Any, Any, int]) -> int:
        """What is throttled is tried again later, and is nobody's error."""
        try:
            return await work
        except AwsError as error:
            self.trouble = str(error)
            if error.trouble is not Trouble.THROTTLED:
                raise
            self._slow_down(error)
            return 0
        finally:
            self._asked_at = asyncio.get_running_loop().time()

    def _slow_down(self, error: AwsError) -> None:
        self._pause = min(self._longest, max(self._interval, 2 * self._pause))
        pause = self._pause * (0.5 + self._jitter() / 2)
        self._resume_at = asyncio.get_running_loop().time() + pause
        log.warning(self._slower, error=str(error), retry_in=round(pause, 1))

    def looked(self) -> None:
        """The service was looked at, without trouble."""
        self.trouble, self._pause = "", 0.0


def unless_throttled(faults: Faults) -> None:
    """Raises what was throttled: then the others would only make it worse."""
    if isinstance(faults.first, AwsError) and faults.first.trouble is Trouble.THROTTLED:
        raise faults.first
