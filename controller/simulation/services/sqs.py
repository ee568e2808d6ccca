"""SQS in memory behind the port `runner.aws.Aws`, written from the service's documentation.

Emulated: standard queues with visibility, delays, long polls, receipt handles, 12 hours in total from a receive,
per-entry results of batches, limits of sizes and characters, the limit of messages in flight, redrive to a dead-letter
queue, retention, and counts; and, where `Behaviour` asks for it, messages that come twice, come back or come in no
order, receives that bring a part, entries that fail, counts that are late. Time is the clock that is given; who moves
that by hand calls `wake`.

What the service leaves open is decided so: messages come in the order they became visible; a handle that a later
receive replaced does nothing; one whose time is over still works if `obeys_expired`, else it is refused.

Not emulated: first-in-first-out queues, permissions, encryption.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from controller.simulation.services.sqs_behaviour import Behaviour
from controller.simulation.services.sqs_message import Message, Refused, Watch, nobody_watches
from controller.simulation.services.sqs_messages import Messages
from runner.aws import AwsError, Reply, Trouble
from runner.ports import Clock

MOST_IN_BATCH = 10
LARGEST = 1024**2
LONGEST_VISIBILITY = 43200
LONGEST_DELAY = 900
LONGEST_WAIT = 20
IN_FLIGHT_LIMIT = 120_000
# An entry's, where the service failed; of those, the share that was carried out.
INTERNAL, CARRIED_OUT = "InternalError", 0.5
PREFIX = "https://sqs.invalid/123456789012/"

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ALLOWED = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")

Json = dict[str, Any]


class SimulatedSqs:
    """`watch` is told of every message that is sent, received, hidden, deleted, expired or redriven. `random`: what
    chance decides of what `behaviour` allows."""

    def __init__(
        self,
        now: Clock,
        *,
        obeys_expired: bool = False,
        in_flight_limit: int = IN_FLIGHT_LIMIT,
        watch: Watch = nobody_watches,
        random: Random | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self._random = random or Random(0)
        self._now = now
        self._obeys_expired = obeys_expired
        self._in_flight_limit = in_flight_limit
        self._watch = watch
        self.queues: dict[str, Messages] = {}

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        assert service == "sqs", service
        await asyncio.sleep(0)  # as every call over a network, it lets others go on
        answer = self.answer(operation, parameters)
        return await answer if isinstance(answer, Awaitable) else answer

    def answer(self, operation: str, parameters: Json) -> Reply | Awaitable[Reply]:
        """Carried out at once, or a long poll that has nothing yet. Raises AwsError."""
        action: Callable[[Json], Reply | Awaitable[Reply]] = getattr(self, f"_{operation}")
        try:
            return action(parameters)
        except Refused as refused:
            name = "".join(part.capitalize() for part in operation.split("_"))
            resource = str(parameters.get("QueueUrl") or parameters.get("QueueName") or "")
            raise AwsError(f"sqs:{name}", resource, refused.code, str(refused), Trouble.REFUSED) from None

    async def close(self) -> None: ...

    def wake(self) -> None:
        """Time has moved: who waits looks again."""
        for messages in self.queues.values():
            messages.notify()

    def put(self, name: str, body: str) -> None:
        """A message as nobody could send it: the checks of a send are left out."""
        self.queues[name].add(body, {}, 0.0)

    # queues

    def _create_queue(self, given: Json) -> Reply:
        name = given["QueueName"]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name):
            raise Refused(
                "InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores"
            )
        self.queues.setdefault(
            name,
            Messages(
                name,
                self._now,
                self._in_flight_limit,
                self.queues,
                given.get("Attributes", {}),
                self._obeys_expired,
                self._watch,
                self.behaviour,
                self._random,
            ),
        )
        return {"QueueUrl": PREFIX + name}

    def _delete_queue(self, given: Json) -> Reply:
        queue = self._find(given)
        queue.clear()
        del self.queues[queue.name]
        return {}

    def _get_queue_url(self, given: Json) -> Reply:
        return {"QueueUrl": PREFIX + self._named(given["QueueName"]).name}

    def _list_queues(self, given: Json) -> Reply:
        prefix = given.get("QueueNamePrefix", "")
        return {"QueueUrls": [PREFIX + name for name in self.queues if name.startswith(prefix)]}

    def _purge_queue(self, given: Json) -> Reply:
        self._find(given).clear()
        return {}

    def _get_queue_attributes(self, given: Json) -> Reply:
        attributes = self._find(given).attributes()
        wanted = given.get("AttributeNames", [])
        return {"Attributes": {k: v for k, v in attributes.items() if k in wanted or "All" in wanted}}

    def _find(self, given: Json) -> Messages:
        return self._named(str(given["QueueUrl"]).removeprefix(PREFIX))

    def _named(self, name: str) -> Messages:
        if name not in self.queues:
            raise Refused("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
        return self.queues[name]

    # messages

    def _send_message(self, given: Json) -> Reply:
        return self._send(self._find(given), given)

    def _send_message_batch(self, given: Json) -> Reply:
        queue, entries = self._find(given), given["Entries"]
        if sum(_size(entry) for entry in entries) > LARGEST:
            raise Refused(
                "AWS.SimpleQueueService.BatchRequestTooLong", "Batch requests cannot be longer than 1 MiB."
            )
        return self._each(entries, lambda entry: self._send(queue, entry))

    def _send(self, queue: Messages, entry: Json) -> Reply:
        body, delay = entry["MessageBody"], _between(entry, "DelaySeconds", 0, 0, LONGEST_DELAY)
        if not body:
            raise Refused("MissingParameter", "The request must contain the parameter MessageBody.")
        if not _ALLOWED.fullmatch(body):
            raise Refused("InvalidMessageContents", "Invalid binary character in message body.")
        if _size(entry) > LARGEST:
            raise Refused(
                "InvalidParameterValue", "One or more parameters are invalid. Reason: Message too long."
            )
        return {"MessageId": queue.add(body, entry.get("MessageAttributes", {}), delay)}

    def _receive_message(self, given: Json) -> Reply | Awaitable[Reply]:
        queue = self._find(given)
        most = _between(given, "MaxNumberOfMessages", 1, 1, 10)
        hide = _between(given, "VisibilityTimeout", queue.visibility, 0, LONGEST_VISIBILITY)
        wait = _between(given, "WaitTimeSeconds", 0, 0, LONGEST_WAIT)
        found = queue.take(most, hide, short=wait == 0)
        return _shown(found, given) if found or not wait else self._long_poll(queue, most, hide, wait, given)

    async def _long_poll(self, queue: Messages, most: int, hide: int, wait: int, given: Json) -> Reply:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        found: Sequence[Message] = ()
        while not found and (left := deadline - loop.time()) > 0:
            await queue.wait(left)
            found = queue.take(most, hide, short=False)
        return _shown(found, given)

    def _delete_message(self, given: Json) -> Reply:
        return self._find(given).delete(given["ReceiptHandle"])

    def _delete_message_batch(self, given: Json) -> Reply:
        queue = self._find(given)
        return self._each(given["Entries"], lambda entry: queue.delete(entry["ReceiptHandle"]))

    def _change_message_visibility(self, given: Json) -> Reply:
        return self._hide(self._find(given), given)

    def _change_message_visibility_batch(self, given: Json) -> Reply:
        queue = self._find(given)
        return self._each(given["Entries"], lambda entry: self._hide(queue, entry))

    def _hide(self, queue: Messages, entry: Json) -> Reply:
        seconds = _between(entry, "VisibilityTimeout", 0, 0, LONGEST_VISIBILITY)
        return queue.change(entry["ReceiptHandle"], seconds)

    def _each(self, entries: Sequence[Json], act: Callable[[Json], Reply]) -> Reply:
        """The request succeeds as long as it is well made, whatever becomes of its entries."""
        _check_batch(entries)
        successful: list[Mapping[str, Any]] = []
        failed: list[Mapping[str, Any]] = []
        for entry in entries:
            try:
                successful.append({"Id": entry["Id"], **self._one(entry, act)})
            except Refused as refused:
                theirs = refused.code == INTERNAL
                failed.append(
                    {
                        "Id": entry["Id"],
                        "Code": refused.code,
                        "Message": str(refused),
                        "SenderFault": not theirs,
                    }
                )
        return {"Successful": successful, "Failed": failed}

    def _one(self, entry: Json, act: Callable[[Json], Reply]) -> Reply:
        if self.behaviour.failing and self._random.random() < self.behaviour.failing:
            if self._random.random() < CARRIED_OUT:
                act(entry)
            raise Refused(INTERNAL, "The service failed at this entry.")
        return act(entry)


def _shown(found: Sequence[Message], given: Json) -> Reply:
    wanted = given.get("MessageSystemAttributeNames", []), given.get("MessageAttributeNames", [])
    return {"Messages": [message.shown(*wanted) for message in found]} if found else {}


def _check_batch(entries: Sequence[Json]) -> None:
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise Refused("AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one entry.")
    if len(entries) > MOST_IN_BATCH:
        raise Refused(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "Maximum number of entries is 10."
        )
    if len(set(ids)) < len(ids):
        raise Refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "An id is repeated.")
    if not all(_ENTRY_ID.fullmatch(each) for each in ids):
        raise Refused(
            "AWS.SimpleQueueService.InvalidBatchEntryId", "An id has other characters, or too many."
        )


def _between(given: Json, name: str, default: int, least: int, most: int) -> int:
    value = given.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise Refused(
            "InvalidParameterValue",
            f"Value {value} for parameter {name} is invalid. Must be {least} to {most}.",
        )
    return value


def _size(entry: Json) -> int:
    return len(entry["MessageBody"].encode()) + sum(_sizes(entry.get("MessageAttributes", {})))


def _sizes(attributes: Mapping[str, Json]) -> Iterator[int]:
    for name, value in attributes.items():
        yield len(name.encode()) + sum(len(part.encode()) for part in value.values())
