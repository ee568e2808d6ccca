"""What the service sends, as leases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.codec import DecodeError, decode_pointer
from runner.model import Lease

Message = Mapping[str, Any]

# What a receive asks for beside the message itself.
ATTRIBUTES = ["ApproximateReceiveCount"]


def sorted_out(
    messages: Sequence[Message], channel: str, received: float, hide: float
) -> tuple[Sequence[Lease], Sequence[tuple[Message, str]]]:
    """Leases, and the messages that cannot be read with the reasons. `received`: the loop's time before which they were
    not handed out."""
    leases: list[Lease] = []
    unreadable: list[tuple[Message, str]] = []
    for message in messages:
        try:
            leases.append(_lease(message, channel, received, hide))
        except DecodeError as error:
            unreadable.append((message, str(error)))
    return leases, unreadable


def _lease(message: Message, channel: str, received: float, hide: float) -> Lease:
    return Lease(
        task=decode_pointer(str(message["Body"])),
        queue=channel,
        message_id=str(message["MessageId"]),
        token=str(message["ReceiptHandle"]),
        receives=receives_of(message),
        received=received,
        hidden_until=received + hide,
    )


def receives_of(message: Message) -> int:
    return number(message.get("Attributes", {}).get("ApproximateReceiveCount"), 1)


def number(text: object, default: int) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() else default
