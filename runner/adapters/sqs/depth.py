"""How deep the queues are, as the service approximately knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from runner.adapters.sqs.service import Service
from runner.aws import AwsError, Trouble
from runner.ports import Clock
from runner.records import Backlog

log = structlog.get_logger()

# Of about 120,000 messages in flight, from where on somebody should know: at the limit long polls simply stay empty.
CROWDED = 100_000

VISIBLE, IN_FLIGHT, DELAYED = COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Depth:
    """`names`: the queue's name by channel. An answer serves for `fresh` seconds."""

    def __init__(self, service: Service, now: Clock, names: Mapping[str, str], fresh: float) -> None:
        self._service = service
        self._now = now
        self._names = names
        self._fresh = fresh
        self._known: Mapping[str, Backlog] = {}
        self._read_at = float("-inf")
        self._crowded: set[str] = set()

    async def read(self) -> Mapping[str, Backlog]:
        """By channel. Raises AwsError, also for an answer without numbers: who does not know must not say zero."""
        at = asyncio.get_running_loop().time()
        if at - self._read_at >= self._fresh:
            found = await asyncio.gather(*(self._read(name) for name in self._names.values()))
            self._known = dict(zip(self._names, found, strict=True))
            self._read_at = at
            self._warn()
        return self._known

    async def _read(self, name: str) -> Backlog:
        as_of = self._now()
        reply = await self._service.call(name, "get_queue_attributes", AttributeNames=list(COUNTS))
        attributes = reply.get("Attributes", {})
        counts = {each: _count(name, each, attributes.get(each)) for each in COUNTS}
        return Backlog(counts[VISIBLE], counts[IN_FLIGHT], counts[DELAYED], as_of)

    def _warn(self) -> None:
        """Once, until there is room again."""
        crowded = {name for name, depth in self._known.items() if depth.in_flight >= CROWDED}
        for channel in crowded - self._crowded:
            in_flight = self._known[channel].in_flight
            log.warning("nearly too many messages in flight", channel=channel, in_flight=in_flight)
        self._crowded = crowded


def _count(name: str, attribute: str, value: object) -> int:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    action, code = "sqs:GetQueueAttributes", "MalformedReply"
    raise AwsError(action, name, code, f"no number for {attribute} but {value!r:.50}", Trouble.SERVER)
