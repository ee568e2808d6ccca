"""The dead-letter queue, as the controller sees it.

SQS shows messages only to those who receive them: who lists them hides them meanwhile, and shows them again in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from runner.adapters.sqs.batches import MOST, Batches, error_of
from runner.adapters.sqs.messages import Message, number
from runner.adapters.sqs.quarantine import AT, CUT, EMPTY, REASON, RECEIVES, SOURCE
from runner.adapters.sqs.service import Service
from runner.aws import Aws
from runner.codec import DecodeError, decode_pointer
from runner.errors import NotFound
from runner.model import TaskId
from runner.records import DeadLetter

# After so many receives SQS moves a message to the dead letters: the most it allows, since receives decide nothing.
MAX_RECEIVES = 1000

# How long letters are hidden while they are looked through, in seconds.
HIDE = 60
# A look at every server of the queue, not at some, in seconds.
LOOK = 1

DELETE, CHANGE = "delete_message_batch", "change_message_visibility_batch"


class Held(NamedTuple):
    letter: DeadLetter
    token: str


class SqsDeadLetters:
    """Those that SQS itself moved have no reason.

    `channels` are those that are configured; `name` and `dead_letters` as for `SqsQueue`. `look`: whole seconds.
    """

    def __init__(
        self,
        aws: Aws,
        channels: Collection[str],
        *,
        name: Callable[[str], str],
        dead_letters: str,
        look: int = LOOK,
    ) -> None:
        self._look = look
        self._service = Service(aws)
        self._batches = Batches(self._service)
        self._names = {channel: name(channel) for channel in channels}
        self._channels = {name: channel for channel, name in self._names.items()}
        self._dead_letters = dead_letters

    async def list(self, limit: int = 1000) -> Sequence[DeadLetter]:
        async with self._held(limit=limit) as held:
            return [each.letter for each in held.values()][:limit]

    async def replay(self, ids: Collection[str]) -> Sequence[DeadLetter]:
        async with self._held(ids) as held:
            chosen = [held[each] for each in ids if each in held]
            for each in chosen:
                self._origin(each.letter)
            for each in chosen:
                await self._service.call(
                    self._origin(each.letter), "send_message", MessageBody=each.letter.body or EMPTY
                )
                await self._remove([each], held)
            return [each.letter for each in chosen]

    async def drop(self, ids: Collection[str]) -> Sequence[DeadLetter]:
        async with self._held(ids) as held:
            chosen = [held[each] for each in ids if each in held]
            await self._remove(chosen, held)
            return [each.letter for each in chosen]

    @asynccontextmanager
    async def _held(
        self, ids: Collection[str] | None = None, limit: float = float("inf")
    ) -> AsyncIterator[dict[str, Held]]:
        """By id; if `ids` are given, as many as it takes to find them. What is in it at the end is shown again."""
        held: dict[str, Held] = {}
        try:
            while len(held) < limit and (ids is None or not held.keys() >= set(ids)):
                messages = await self._receive()
                if not messages:
                    break
                held.update({each.letter.id: each for each in map(self._read, messages)})
            yield held
        finally:
            await self._show(held.values())

    async def _receive(self) -> Sequence[Message]:
        reply = await self._service.call(
            self._dead_letters,
            "receive_message",
            MaxNumberOfMessages=MOST,
            WaitTimeSeconds=self._look,
            VisibilityTimeout=HIDE,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: Sequence[Message] = reply.get("Messages", ())
        return messages

    def _read(self, message: Message) -> Held:
        own = {name: str(value.get("StringValue", "")) for name, value in _attributes(message).items()}
        system = message.get("Attributes", {})
        body = str(message["Body"])
        if REASON in own:  # ours
            letter = DeadLetter(
                id=str(message["MessageId"]),
                queue=own.get(SOURCE, ""),
                body="" if own.get(CUT) == EMPTY else body,
                reason=own[REASON],
                receives=number(own.get(RECEIVES), 1),
                at=_time(own.get(AT)),
                task=_task(body),
            )
        else:
            source = str(system.get("DeadLetterQueueSourceArn", "")).rpartition(":")[2]
            letter = DeadLetter(
                id=str(message["MessageId"]),
                queue=self._channels.get(source, source),
                body=body,
                reason="",
                receives=MAX_RECEIVES,
                at=_time(system.get("SentTimestamp")) / 1000,
                task=_task(body),
            )
        return Held(letter, str(message["ReceiptHandle"]))

    def _origin(self, letter: DeadLetter) -> str:
        if letter.queue in self._names:
            return self._names[letter.queue]
        message = (
            f"dead letter {letter.id} came from queue {letter.queue or 'unknown'!r}, which is not configured any more; "
            "drop it, and `retry` its job if its task is still wanted"
        )
        raise NotFound(message)

    async def _remove(self, letters: Sequence[Held], held: dict[str, Held]) -> None:
        entries = [{"ReceiptHandle": each.token} for each in letters]
        refused = await self._batches.call(self._dead_letters, DELETE, entries)
        if refused:
            raise error_of(DELETE, self._dead_letters, refused, len(entries))
        for each in letters:
            del held[each.letter.id]

    async def _show(self, letters: Iterable[Held]) -> None:
        entries = [{"ReceiptHandle": each.token, "VisibilityTimeout": 0} for each in letters]
        # Also when cancelled. What is refused shows by itself, when its time is over.
        await asyncio.shield(self._batches.call(self._dead_letters, CHANGE, entries))


def _attributes(message: Message) -> Mapping[str, Mapping[str, object]]:
    attributes: Mapping[str, Mapping[str, object]] = message.get("MessageAttributes", {})
    return attributes


def _time(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0


def _task(body: str) -> TaskId | None:
    try:
        return decode_pointer(body)
    except DecodeError:
        return None
