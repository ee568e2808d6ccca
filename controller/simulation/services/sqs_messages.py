"""The messages of one simulated queue: visible, delayed or in flight, and what a receipt handle may still do."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any

from controller.simulation.services.sqs_behaviour import LATE, SOON, Behaviour, Counts, Past
from controller.simulation.services.sqs_message import Message, Refused, Watch
from runner.aws import Reply
from runner.ports import Clock

TOTAL_VISIBILITY = 43200
RETENTION = 4 * 86400
ARN = "arn:aws:sqs:us-east-1:123456789012:"


class Messages:
    def __init__(
        self,
        name: str,
        now: Clock,
        in_flight_limit: int,
        others: Mapping[str, Messages],
        attributes: Mapping[str, str],
        obeys_expired: bool,
        watch: Watch,
        behaviour: Behaviour,
        random: Random,
    ) -> None:
        self.name = name
        self.visibility = int(attributes.get("VisibilityTimeout", 30))
        self._now = now
        self._in_flight_limit = in_flight_limit
        self._others = others
        self._retention = float(attributes.get("MessageRetentionPeriod", RETENTION))
        self._redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        self._obeys_expired = obeys_expired
        self._watch = watch
        self._behaviour = behaviour
        self._random = random
        self._past = Past()
        self._all: dict[str, Message] = {}
        self._visible: deque[tuple[int, Message]] = deque()
        self._hidden: list[tuple[float, int, int, Message]] = []
        self._in_flight: set[Message] = set()
        self._delayed: set[Message] = set()
        self._count = 0
        self._waiting: dict[asyncio.Future[None], None] = {}  # in order: who came first is served first

    def __len__(self) -> int:
        return len(self._all)

    def add(self, body: str, attributes: Mapping[str, Any], delay: float) -> str:
        self._count += 1
        message = Message(f"{self.name}-{self._count:08d}", body, attributes, self._now())
        self._all[message.id] = message
        if delay > 0:
            self._delayed.add(message)
        self._watch("sent", self.name, message)
        self._show_in(message, delay)
        return message.id

    def take(self, most: int, hide: float, *, short: bool) -> list[Message]:
        self._settle()
        most = self._brought(most, short)
        taken: list[Message] = []
        if self._behaviour.shuffled and self._visible:
            self._visible.rotate(self._random.randrange(len(self._visible)))
        while self._visible and len(taken) < most:
            version, message = self._visible[0]
            if version != message.version or self._removed(message):
                self._visible.popleft()
                continue
            if len(self._in_flight) + self._behaviour.crowd >= self._in_flight_limit:
                if short and not taken:
                    raise Refused("OverLimit", "Too many messages in flight.")
                break
            self._visible.popleft()
            taken.append(self._hand_out(message, hide))
        return taken

    def delete(self, handle: str) -> Reply:
        message = self._of(handle)
        if message is not None and (message.handle == handle or self._chance(self._behaviour.stale)):
            self._watch("deleted", self.name, message)
            if self._chance(self._behaviour.ghosts):
                self._haunt(message)
            else:
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
        self._watch("hidden" if seconds else "shown", self.name, message)
        self._show_in(message, seconds)
        return {}

    def clear(self) -> None:
        for message in list(self._all.values()):
            self._watch("purged", self.name, message)
            self._forget(message)

    def attributes(self) -> Mapping[str, str]:
        self._settle()
        for _, message in list(self._visible):
            self._expired(message)
        told = self._told()
        return {
            "ApproximateNumberOfMessages": str(told[0].visible),
            "ApproximateNumberOfMessagesNotVisible": str(told[1].in_flight),
            "ApproximateNumberOfMessagesDelayed": str(told[2].delayed),
            "QueueArn": ARN + self.name,
            "VisibilityTimeout": str(self.visibility),
            **({"RedrivePolicy": json.dumps(self._redrive)} if self._redrive else {}),
        }

    def _told(self) -> list[Counts]:
        """For each of the counts, those of the time that it tells of."""
        lag = self._behaviour.lag
        if not lag:
            return [self._counts()] * 3
        self._note()
        return [self._past.as_of(self._now() - self._random.uniform(0.0, lag)) for _ in range(3)]

    def _counts(self) -> Counts:
        hidden = len(self._in_flight) + len(self._delayed)
        in_flight = len(self._in_flight) + self._behaviour.crowd
        return Counts(len(self._all) - hidden, in_flight, len(self._delayed))

    def _note(self) -> None:
        if self._behaviour.lag:
            self._past.note(self._now(), self._counts(), self._behaviour.lag)

    def notify(self) -> None:
        for waiting in tuple(self._waiting):
            _wake(waiting)

    async def wait(self, seconds: float) -> None:
        """Until there may be something to take, at most so long."""
        self._drop_outdated()
        if self._hidden:
            seconds = min(seconds, max(0.0, self._hidden[0][0] - self._now()))
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, _wake, waiting)
        self._waiting[waiting] = None
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.pop(waiting, None)

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
        self._watch("received", self.name, message)
        self._show_in(message, hide)
        if self._chance(self._behaviour.duplicates):
            self._hide_until(
                self._now() + self._random.choice((0.0, self._random.uniform(0.0, SOON))), message
            )
            self.notify()
        return message

    def _haunt(self, message: Message) -> None:
        """It is deleted, but for a copy that comes back."""
        message.handle = ""
        self._in_flight.discard(message)
        self._delayed.add(message)
        self._watch("reappears", self.name, message)
        self._show_in(message, self._random.uniform(0.0, LATE))

    def _brought(self, most: int, short: bool) -> int:
        """How many of so many a receive brings at most: none only of a short poll."""
        if not self._chance(self._behaviour.short):
            return most
        return self._random.randint(0 if short else 1, most)

    def _chance(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _show_in(self, message: Message, seconds: float) -> None:
        message.version += 1
        self._hide_until(self._now() + seconds, message)
        if seconds <= 0:
            self._settle()
        self._note()
        self.notify()

    def _hide_until(self, time: float, message: Message) -> None:
        self._count += 1
        heapq.heappush(self._hidden, (time, self._count, message.version, message))

    def _settle(self) -> None:
        now = self._now()
        while self._hidden and self._hidden[0][0] <= now:
            _, _, version, message = heapq.heappop(self._hidden)
            if version == message.version:
                self._in_flight.discard(message)
                self._delayed.discard(message)
                self._visible.append((version, message))

    def _drop_outdated(self) -> None:
        """So that nobody is woken for a message that was hidden for longer since."""
        while self._hidden and self._hidden[0][2] != self._hidden[0][3].version:
            heapq.heappop(self._hidden)

    def _removed(self, message: Message) -> bool:
        """Whether a visible message is not to be handed out but dropped, or moved to the dead letters."""
        return self._expired(message) or self._redriven(message)

    def _expired(self, message: Message) -> bool:
        if self._now() - message.sent_at <= self._retention:
            return False
        self._watch("expired", self.name, message)
        self._forget(message)
        return True

    def _redriven(self, message: Message) -> bool:
        if not self._redrive or message.receives < int(self._redrive["maxReceiveCount"]):
            return False
        target = self._others.get(self._redrive["deadLetterTargetArn"].rpartition(":")[2])
        if target is None:
            return False
        self._watch("redriven", self.name, message)
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
        self._note()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
