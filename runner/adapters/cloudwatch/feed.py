"""Shows in CloudWatch Logs what running tasks write, by following the files that their output is spooled in.

So nothing is kept in memory, a task never waits, and when the service throttles or is away, the feed only lags: it
goes on where it was. It is for watching; a whole log is in S3 a few seconds after its attempt's end, and then the feed
leaves it at that. A task shorter than `after` never appears here at all: at $0.50 per GB a million short logs of 2 KB
would cost as much as half of everything else.

One stream per host, not per task: streams can be created at 50 a second in a whole account.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from runner.adapters.cloudwatch.events import Batch, Piece, message_of, pieces, stream_of
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.model import Attempt
from runner.ports import Clock

log = structlog.get_logger()

AFTER = 5.0
INTERVAL = 2.0
LONGEST_PAUSE = 60.0
# Of one task at a time, so that one that floods its log does not hold up the others.
SHARE = 64 * 1024


class CloudWatchFeed:
    """Implements `runner.adapters.s3.logs.Live`. `owner` is `host#incarnation`; times are seconds."""

    def __init__(
        self,
        aws: Aws,
        group: str,
        owner: str,
        now: Clock,
        *,
        after: float = AFTER,
        interval: float = INTERVAL,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._aws = aws
        self._names: dict[str, Any] = {"logGroupName": group, "logStreamName": stream_of(owner)}
        self._now = now
        self._after = after
        self._interval = interval
        self._jitter = jitter
        self._followed: dict[str, _Followed] = {}
        self._has_stream = False
        self.dropped = 0
        """Bytes that the service refused and that are not shown."""

    def begun(self, attempt: Attempt, path: str) -> None:
        since = asyncio.get_running_loop().time()
        self._followed[str(attempt)] = _Followed(str(attempt), path, since)

    def ended(self, attempt: Attempt) -> None:
        self._followed.pop(str(attempt), None)

    async def run(self) -> None:
        """Until cancelled."""
        pause = self._interval
        while True:
            await asyncio.sleep(pause)
            try:
                while await self.send():
                    pass
                pause = self._interval
            except AwsError as error:
                pause = min(LONGEST_PAUSE, 2 * pause) * (0.5 + self._jitter() / 2)
                log.warning("live output lags", error=str(error), retry_in=pause)

    async def send(self) -> bool:
        """One batch. True if there was more than it holds. Raises AwsError; then the next one begins there again."""
        batch = Batch(self._now())
        taken = [(each, each.take(batch)) for each in self._due()]
        if not batch.events:
            return False
        await self._put(batch)
        more = batch.full or any(end - each.sent >= SHARE for each, end in taken)
        for each, end in taken:
            # Whoever was served goes behind those for whom there was no room. One that has ended is gone.
            if end > each.sent and self._followed.pop(each.attempt, None) is not None:
                self._followed[each.attempt] = each
            each.sent = end
        return more

    def _due(self) -> list[_Followed]:
        began = asyncio.get_running_loop().time() - self._after
        return [each for each in self._followed.values() if each.since <= began]

    async def _put(self, batch: Batch) -> None:
        try:
            if not self._has_stream:
                await self._make_stream()
            reply = await self._aws.call("logs", "put_log_events", **self._names, logEvents=batch.events)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                self._has_stream = False
            elif error.trouble is Trouble.REFUSED:
                self._drop(batch, str(error))  # the same events would be refused for ever
                return
            raise
        if reply.get("rejectedLogEventsInfo"):
            self._drop(batch, _rejection(reply))

    async def _make_stream(self) -> None:
        try:
            await self._aws.call("logs", "create_log_stream", **self._names)
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
        self._has_stream = True

    def _drop(self, batch: Batch, reason: str) -> None:
        dropped = sum(len(event["message"]) for event in batch.events)
        self.dropped += dropped
        log.warning("live output dropped", bytes=dropped, reason=reason)


@dataclass(slots=True)
class _Followed:
    """One running attempt's spool file. `sent`: how far it has been shown."""

    attempt: str
    path: str
    since: float
    sent: int = 0
    waited: bool = False

    def take(self, batch: Batch) -> int:
        """Put what is new into the batch, as far as it takes it. Returns how far that reaches."""
        end = self.sent
        for piece in self._new():
            if not batch.add(message_of(self.attempt, piece)):
                break
            end = piece.end
        return end

    def _new(self) -> list[Piece]:
        """By line. The beginning of a line waits once for its end."""
        try:
            data = _read(self.path, self.sent, SHARE)
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1
        if whole < len(data) < SHARE and not self.waited:
            self.waited = True
            data = data[:whole]
        else:
            self.waited = False
        return list(pieces(data, self.sent))


def _read(path: str, begin: int, length: int) -> bytes:
    """Without a thread: what was written a moment ago comes out of memory."""
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, begin)


def _rejection(reply: Reply) -> str:
    """Only a clock that is off by hours, or a retention shorter than a day, brings this about."""
    return ", ".join(f"{name} {value}" for name, value in reply["rejectedLogEventsInfo"].items())
