"""Messages of which nothing can be made go to the dead letters, with the reason, and out of the way.

First there, then away: a crash in between puts it there twice and loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from runner.adapters.sqs.messages import Message, receives_of
from runner.adapters.sqs.service import Service
from runner.aws import AwsError
from runner.ports import Clock
from runner.wording import printable

log = structlog.get_logger()

# Attributes of a dead letter.
REASON, SOURCE, RECEIVES, AT, CUT = "Reason", "Source", "Receives", "At", "Cut"

# What an empty body is sent as, and the word for that in `CUT`: SQS takes no empty one.
EMPTY = "empty"
SHORTENED = "shortened"

# A message and its attributes share one limit, which was 256 KiB for long and still is in some regions and emulators.
LONGEST_BODY = 250_000  # bytes
LONGEST_REASON = 1000  # characters


class Quarantine:
    """`dead_letters` is the name of the queue for them."""

    def __init__(self, service: Service, now: Clock, dead_letters: str) -> None:
        self._service = service
        self._now = now
        self._dead_letters = dead_letters

    async def put(self, name: str, channel: str, unreadable: Sequence[tuple[Message, str]]) -> None:
        """Each with its reason, out of the queue `name`. What fails is logged: the message comes back in its time."""
        await asyncio.gather(*(self._put(name, channel, message, why) for message, why in unreadable))

    async def _put(self, name: str, channel: str, message: Message, reason: str) -> None:
        said = {"channel": channel, "message": str(message["MessageId"]), "reason": printable(reason)}
        try:
            await self.copy(str(message["Body"]), reason, channel=channel, receives=receives_of(message))
            await self._service.call(name, "delete_message", ReceiptHandle=message["ReceiptHandle"])
        except AwsError as error:
            log.error("cannot quarantine", error=str(error), **said)
        else:
            log.warning("quarantined", **said)

    async def copy(self, body: str, reason: str, *, channel: str, receives: int) -> None:
        """To the dead letters. The message itself is still to be removed. Raises AwsError."""
        body, cut = _shortened(body)
        attributes = {
            REASON: _text(printable(reason)[:LONGEST_REASON]),
            SOURCE: _text(channel),
            RECEIVES: _number(receives),
            AT: _number(self._now()),
            **({CUT: _text(cut)} if cut else {}),
        }
        await self._service.call(
            self._dead_letters, "send_message", MessageBody=body, MessageAttributes=attributes
        )


def _shortened(body: str) -> tuple[str, str]:
    """What can be sent of a body, and how it differs from the body; nothing if it does not."""
    if not body:
        return EMPTY, EMPTY
    data = body.encode("utf-8", "replace")
    if len(data) <= LONGEST_BODY:
        return body, ""
    return data[:LONGEST_BODY].decode("utf-8", "ignore"), SHORTENED


def _text(value: str) -> Mapping[str, Any]:
    return {"DataType": "String", "StringValue": value or "-"}


def _number(value: float) -> Mapping[str, Any]:
    return {"DataType": "Number", "StringValue": str(value)}
