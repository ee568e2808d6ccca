"""What tasks wrote, in CloudWatch Logs: the last lines of what failed, and where the rest lies."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from runner.aws import Aws, AwsError

LINES = 20
LONGEST_LINE = 1000
# The service allows an account so few reads a second that a thousand failures must not wait for their last lines.
PER_SECOND, AT_ONCE = 5.0, 20.0

_SCHEME = "cloudwatch"


class LogPlace(NamedTuple):
    group: str
    stream: str


def place_of(group: str, stream: str) -> str:
    """As it stands in an attempt's record."""
    return f"{_SCHEME}:{group}:{stream}"


def parse_place(text: str) -> LogPlace | None:
    """None for what is kept elsewhere."""
    scheme, _, rest = text.partition(":")
    group, colon, stream = rest.partition(":")
    return LogPlace(group, stream) if scheme == _SCHEME and colon else None


class Output:
    """Of the log group that AWS Batch's tasks write to."""

    def __init__(self, aws: Aws, group: str) -> None:
        self._aws = aws
        self.group = group
        self._allowed = AT_ONCE
        self._asked_at = 0.0

    async def tail(self, stream: str) -> tuple[str, ...]:
        """The last lines; none where there are too many who ask, or it cannot be read."""
        if not self._admitted():
            return ()
        try:
            reply = await self._aws.call(
                "logs", "get_log_events", logGroupName=self.group, logStreamName=stream, limit=LINES
            )
        except AwsError:
            return ()
        return tuple(str(event["message"])[:LONGEST_LINE] for event in reply.get("events") or ())

    def _admitted(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._allowed = min(AT_ONCE, self._allowed + (now - self._asked_at) * PER_SECOND)
        self._asked_at = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True
