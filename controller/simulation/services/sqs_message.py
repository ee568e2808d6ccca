"""One message of a simulated queue, and how the service refuses a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


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


Watch = Callable[[str, str, Message], None]
"""What happened, in which queue, to which message."""


def nobody_watches(_what: str, _queue: str, _message: Message) -> None:
    return
