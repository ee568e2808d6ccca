"""Sends what the outbox holds, in the background, for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from runner.adapters.s3.objects import Bucket
from runner.adapters.s3.outbox import Outbox
from runner.aws import AwsError
from runner.errors import Unavailable
from runner.units import format_size

log = structlog.get_logger()

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
FLUSH = 10.0

# A segment goes when it is full. Before that: after LINGER seconds if it has enough logs to be worth a request, after
# LONGEST_LINGER in any case, and after IDLE seconds in which no task ran: then nothing will join it soon.
# So at 16 slots a request serves 24 tasks of 10 s, and whoever waits for a single one does not wait long.
ENOUGH = 25
LINGER = 5.0
LONGEST_LINGER = 15.0
IDLE = 1.0


class Shipper:
    """`running` says whether any task does. `jitter` gives numbers from 0 to 1."""

    def __init__(
        self, bucket: Bucket, outbox: Outbox, running: Callable[[], bool], jitter: Callable[[], float]
    ) -> None:
        self._bucket = bucket
        self._outbox = outbox
        self._running = running
        self._jitter = jitter
        self._looked_at = 0.0
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()

    def look(self) -> None:
        """A task has ended: there may be something new in the outbox, and nothing more to come."""
        self._looked_at = asyncio.get_running_loop().time()
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE
        while True:
            await self._something()
            try:
                await self._send_next()
                pause = FIRST_PAUSE
            except AwsError as error:
                waiting = self._outbox.size
                log.warning("cannot store logs", error=str(error), waiting=waiting, retry_in=pause)
                await asyncio.sleep(pause * (0.5 + self._jitter() / 2))
                pause = min(LONGEST_PAUSE, 2 * pause)

    async def flush(self, within: float = FLUSH) -> None:
        """Send everything there is, but do not try for longer than `within` seconds. Raises Unavailable if not."""
        self._outbox.seal()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._outbox.ready:
                    await self._send_next_or_wait()
        if self._outbox.ready:
            message = (
                f"logs are not stored: {len(self._outbox.ready)} objects, {format_size(self._outbox.size)}"
            )
            raise Unavailable(message)

    async def _send_next_or_wait(self) -> None:
        try:
            await self._send_next()
        except AwsError as error:
            log.warning("cannot store logs", error=str(error))
            await asyncio.sleep(FIRST_PAUSE)

    async def _something(self) -> None:
        """Return when there is something to send."""
        while True:
            due = self._due()
            if due is not None and asyncio.get_running_loop().time() >= due:
                self._outbox.seal()
            if self._outbox.ready:
                return
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._news.wait()

    def _due(self) -> float | None:
        """When the open segment goes, in the loop's time, as things are."""
        since = self._outbox.since
        if since is None:
            return None
        due = since + (LINGER if self._outbox.logs >= ENOUGH else LONGEST_LINGER)
        return due if self._running() else min(due, self._looked_at + IDLE)

    async def _send_next(self) -> None:
        """One object; one at a time, and each once."""
        async with self._sending:
            key = next(iter(self._outbox.ready), None)
            if key is None:
                return
            try:
                await self._bucket.put_file(key, self._outbox.path(key))
            except AwsError:
                self._outbox.put_off(key)
                raise
            except OSError as error:
                log.error("a log is lost: its file cannot be read", key=key, error=str(error))
            self._outbox.gone(key)
