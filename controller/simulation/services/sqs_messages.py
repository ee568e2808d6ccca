"""The messages of one simulated queue: visible, delayed or in flight, and what a receipt handle may still do."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from runner.aws import Reply
from runner.ports import Clock

TOTAL_VISIBILITY = 43200
RETENTION = 4 * 86400
ARN = "arn:aws:sqs:us-east-1:123456789012:"


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(slots=True, eq=False)
class Message:
    """`version` grows with every move, so that an outdated entry of a heap or deque is known as such."""

    id: str
    body: str
    attributes: Mapping[str, Any]
    sent_at: float
    source: str = ""
    receives: int = 0
    received_at: float = 0.0
    first_received_at: float = 0.0
    handle: str = ""
    version: int = 0

    def shown(self, system: Collection[str], custom: Collection[str]) -> Mapping[str, Any]:
        known = {
            "ApproximateReceiveCount": str(self.receives),
            "SentTimestamp": str(int(self.sent_at * 1000)),
            "ApproximateFirstReceiveTimestamp": str(int(self.first_received_at * 1000)),
            **({"DeadLetterQueueSourceArn": self.source} if self.source else {}),
        }
        shown: dict[str, Any] = {"MessageId": self.id, "ReceiptHandle": self.handle, "Body": self.body}
        if attributes := {k: v for k, v in known.items() if k in system or "All" in system}:
            shown["Attributes"] = attributes
        if attributes := {k: v for k, v in self.attributes.items() if k in custom or "All" in custom}:
            shown["MessageAttributes"] = attributes
        return shown


class Messages:
    def __init__(
        self,
        name: str,
        now: Clock,
        in_flight_limit: int,
        others: Mapping[str, Messages],
        attributes: Mapping[str, str],
        obeys_expired: bool,
    ) -> None:
        self.name = name
        self.visibility = int(attributes.get("VisibilityTimeout", 30))
        self._now = now
        self._in_flight_limit = in_flight_limit
        self._others = others
        self._retention = float(attributes.get("MessageRetentionPeriod", RETENTION))
        self._redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        self._obeys_expired = obeys_expired
        self._all: dict[str, Message] = {}
        self._visible: deque[tuple[int, Message]] = deque()
        self._hidden: list[tuple[float, int, int, Message]] = []
        self._in_flight: set[Message] = set()
        self._delayed: set[Message] = set()
        self._count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, body: str, attributes: Mapping[str, Any], delay: float) -> str:
        self._count += 1
        message = Message(f"{self.name}-{self._count:08d}", body, attributes, self._now())
        self._all[message.id] = message
        if delay > 0:
            self._delayed.add(message)
        self._show_in(message, delay)
        return message.id

    def take(self, most: int, hide: float, *, short: bool) -> list[Message]:
        self._settle()
        taken: list[Message] = []
        while self._visible and len(taken) < most:
            version, message = self._visible[0]
            if version != message.version or self._removed(message):
                self._visible.popleft()
                continue
            if len(self._in_flight) >= self._in_flight_limit:
                if short and not taken:
                    raise Refused("OverLimit", "Too many messages in flight.")
                break
            self._visible.popleft()
            taken.append(self._hand_out(message, hide))
        return taken

    def delete(self, handle: str) -> Reply:
        message = self._of(handle)
        if message is not None and message.handle == handle:
            self._forget(message)
        return {}

    def change(self, handle: str, seconds: float) -> Reply:
        message = self._of(handle)
        if message is None or message.handle != handle:
            raise Refused(
                "InvalidParameterValue",
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
                "available for visibility timeout change.",
            )
        self._settle()
        if message not in self._in_flight and not self._obeys_expired:
            raise Refused("AWS.SimpleQueueService.MessageNotInflight", "The message is not in flight.")
        if self._now() + seconds > message.received_at + TOTAL_VISIBILITY:
            raise Refused(
                "InvalidParameterValue",
                f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the "
                f"message is beyond the limit [{TOTAL_VISIBILITY} seconds].",
            )
        self._in_flight.add(message)
        self._show_in(message, seconds)
        return {}

    def clear(self) -> None:
        for message in list(self._all.values()):
            self._forget(message)

    def attributes(self) -> Mapping[str, str]:
        self._settle()
        for _, message in list(self._visible):
            self._expired(message)
        hidden = len(self._in_flight) + len(self._delayed)
        return {
            "ApproximateNumberOfMessages": str(len(self._all) - hidden),
            "ApproximateNumberOfMessagesNotVisible": str(len(self._in_flight)),
            "ApproximateNumberOfMessagesDelayed": str(len(self._delayed)),
            "QueueArn": ARN + self.name,
            "VisibilityTimeout": str(self.visibility),
            **({"RedrivePolicy": json.dumps(self._redrive)} if self._redrive else {}),
        }

    def notify(self) -> None:
        for waiting in self._waiting:
            _wake(waiting)

    async def wait(self, seconds: float) -> None:
        """Until there may be something to take, at most so long."""
        if self._hidden:
            seconds = min(seconds, max(0.0, self._hidden[0][0] - self._now()))
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, _wake, waiting)
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)

    def _of(self, handle: str) -> Message | None:
        message_id, _, receives = handle.rpartition("#")
        if not (message_id and receives.isdigit()):
            raise Refused("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return self._all.get(message_id)

    def _hand_out(self, message: Message, hide: float) -> Message:
        message.receives += 1
        message.received_at = self._now()
        message.first_received_at = message.first_received_at or message.received_at
        message.handle = f"{message.id}#{message.receives}"
        self._in_flight.add(message)
        self._show_in(message, hide)
        return message

    def _show_in(self, message: Message, seconds: float) -> None:
        message.version += 1
        self._count += 1
        heapq.heappush(self._hidden, (self._now() + seconds, self._count, message.version, message))
        if seconds <= 0:
            self._settle()
        self.notify()

    def _settle(self) -> None:
        now = self._now()
        while self._hidden and self._hidden[0][0] <= now:
            _, _, version, message = heapq.heappop(self._hidden)
            if version == message.version:
                self._in_flight.discard(message)
                self._delayed.discard(message)
                self._visible.append((version, message))

    def _removed(self, message: Message) -> bool:
        """Whether a visible message is not to be handed out but dropped, or moved to the dead letters."""
        return self._expired(message) or self._redriven(message)

    def _expired(self, message: Message) -> bool:
        if self._now() - message.sent_at <= self._retention:
            return False
        self._forget(message)
        return True

    def _redriven(self, message: Message) -> bool:
        if not self._redrive or message.receives < int(self._redrive["maxReceiveCount"]):
            return False
        target = self._others.get(self._redrive["deadLetterTargetArn"].rpartition(":")[2])
        if target is None:
            return False
        self._forget(message)
        target.adopt(message, ARN + self.name)
        return True

    def adopt(self, message: Message, source: str) -> None:
        """A message from another queue; it keeps its id and when it was sent."""
        moved = Message(
            message.id, message.body, message.attributes, message.sent_at, source, message.receives
        )
        self._all[moved.id] = moved
        self._show_in(moved, 0.0)

    def _forget(self, message: Message) -> None:
        message.version += 1
        self._all.pop(message.id, None)
        self._in_flight.discard(message)
        self._delayed.discard(message)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
