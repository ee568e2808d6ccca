"""Calls of a service that runs what it is given, and throttles whoever asks much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runner.aws import Aws, AwsError, Reply, Trouble

PAUSES = (1.0, 2.0, 4.0)


class ManagedService:
    """All raise AwsError. `calls` counts those made. What is throttled is tried again for some seconds, each time
    after a longer pause; `jitter` gives random numbers in [0, 1)."""

    service = ""

    def __init__(self, aws: Aws, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self._aws = aws
        self._jitter = jitter
        self.calls = 0

    async def call(self, operation: str, **parameters: Any) -> Reply:
        for pause in PAUSES:
            try:
                return await self._once(operation, parameters)
            except AwsError as error:
                if error.trouble is not Trouble.THROTTLED:
                    raise
            await asyncio.sleep(pause * (0.5 + self._jitter() / 2))
        return await self._once(operation, parameters)

    async def _once(self, operation: str, parameters: dict[str, Any]) -> Reply:
        self.calls += 1
        return await self._aws.call(self.service, operation, **parameters)


def may_have_happened(error: AwsError) -> bool:
    """Whether what was asked for may have been carried out all the same."""
    return error.trouble in (Trouble.UNREACHABLE, Trouble.SERVER)
