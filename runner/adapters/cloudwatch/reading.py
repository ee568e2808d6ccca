"""Follows running attempts in CloudWatch Logs, gently: the service allows an account five such requests a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.adapters.cloudwatch.events import Piece, piece_of, stream_of
from runner.aws import Aws, AwsError, Reply, Trouble
from runner.codec import JOB_ID
from runner.model import TaskId

SERVICE = "logs"
INTERVAL = 2.0
# With more attempts than that, each is asked about less often.
REQUESTS_PER_SECOND = 2.0
# Of so many at a time the output is shown live; that of others when they have ended.
MOST_FOLLOWED = 16
MOST_PAGES = 20
# Events become visible in no promised order, and an agent's clock may be set back a little.
MARGIN = 10.0

PASSING = frozenset({Trouble.THROTTLED, Trouble.SERVER, Trouble.UNREACHABLE})


@dataclass(slots=True)
class _Following:
    """`since`: epoch milliseconds of what was shown last; `next_at`: the loop's time of the next request."""

    since: int
    next_at: float


class CloudWatchReader:
    """Implements `runner.adapters.s3.reading.LiveReader`."""

    def __init__(self, aws: Aws, group: str) -> None:
        self._aws = aws
        self._group = group
        self._followings: dict[str, _Following] = {}

    async def read(
        self, task: TaskId, number: int, start: int, owner: str, begun_at: float
    ) -> AsyncIterator[bytes]:
        """What follows byte `start` without a gap. Nothing where it was asked a moment ago. Raises AwsError."""
        attempt = f"{task}#{number}"
        following = self._following(attempt, begun_at) if JOB_ID.fullmatch(task.job_id) else None
        now = asyncio.get_running_loop().time()
        if following is None or now < following.next_at:
            return
        following.next_at = now + max(INTERVAL, len(self._followings) / REQUESTS_PER_SECOND)
        events = await self._events(attempt, stream_of(owner), following.since - round(MARGIN * 1000))
        at = start
        for piece, timestamp in sorted(events, key=lambda event: event[0].offset):
            if piece.offset <= at < piece.end:
                yield piece.data[at - piece.offset :]
                at = piece.end
                following.since = max(following.since, timestamp)

    def _following(self, attempt: str, begun_at: float) -> _Following | None:
        """None while there are too many others."""
        now = asyncio.get_running_loop().time()
        if attempt not in self._followings:
            self._forget_before(now - 60)
            if len(self._followings) >= MOST_FOLLOWED:
                return None
            self._followings[attempt] = _Following(round(begun_at * 1000), now)
        return self._followings[attempt]

    def _forget_before(self, at: float) -> None:
        """Nobody has asked about them since: they have ended."""
        self._followings = {name: each for name, each in self._followings.items() if each.next_at >= at}

    async def _events(self, attempt: str, stream: str, since: int) -> Sequence[tuple[Piece, int]]:
        query: dict[str, Any] = {
            "logGroupName": self._group,
            "logStreamNames": [stream],
            "startTime": max(0, since),
            "filterPattern": f'"{attempt}"',
        }
        found: list[tuple[Piece, int]] = []
        for _ in range(MOST_PAGES):
            try:
                reply = await self._aws.call(SERVICE, "filter_log_events", **query)
            except AwsError as error:
                if error.trouble in PASSING or _has_no_stream(error):
                    break
                raise
            found.extend(_pieces(reply, attempt))
            if not reply.get("nextToken"):
                break
            query["nextToken"] = reply["nextToken"]
            await asyncio.sleep(1 / REQUESTS_PER_SECOND)
        return found


def _pieces(reply: Reply, attempt: str) -> Iterator[tuple[Piece, int]]:
    for event in reply.get("events", ()):
        if (piece := piece_of(str(event["message"]), attempt)) is not None:
            yield piece, int(event["timestamp"])


def _has_no_stream(error: AwsError) -> bool:
    """Its agent has shown nothing yet. A group that is missing is another matter."""
    return error.code == "ResourceNotFoundException" and "log group" not in str(error)
