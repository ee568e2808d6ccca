"""Receives: quick looks where messages are, long polls where none were.

A long poll goes on after the receive that began it: it costs one request in 20 seconds, a new one for each
receive would cost many. So what it brings may come while nobody waits. It is kept for a moment, for the next
receive, then given back; at once, if a receive was cancelled or none is to be expected. No message is hidden by us
for longer than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from runner.adapters.sqs.batches import MOST
from runner.adapters.sqs.inbox import Inbox, fresh
from runner.adapters.sqs.messages import ATTRIBUTES, Message, sorted_out
from runner.adapters.sqs.quarantine import Quarantine
from runner.adapters.sqs.service import Service
from runner.adapters.sqs.visibility import whole_seconds
from runner.aws import AwsError
from runner.model import Lease

log = structlog.get_logger()
T = TypeVar("T")

# Of the time that a message is hidden: how much may pass before somebody takes it; and at least so many seconds. An
# agent whose tasks are a little shorter than a beat just still fills whole requests with that.
KEEP_SHARE, LEAST_KEEP = 0.125, 1.0

# At once. Each occupies a thread; with more channels they take turns.
MOST_POLLS = 16
# How long ago, at most, a message was handed out when a long poll's answer arrives: seconds, and share of the hiding.
POLL_LATENCY, POLL_LATENCY_SHARE = 1.0, 0.1
# Between long polls that come back too early, as they do at the limit of messages in flight, in seconds.
REST = 1.0
# How long a channel whose request failed is left alone while there are others, in seconds.
TROUBLE_REST = 10.0

OVER_LIMIT = "OverLimit"


class Receiver:
    """`names`: the SQS queue's name by channel. `poll`: seconds that a long poll lasts. `supersede` is told what came
    before anybody has it. `give_back` makes messages visible again, in the background."""

    def __init__(
        self,
        service: Service,
        names: Mapping[str, str],
        quarantine: Quarantine,
        supersede: Callable[[Sequence[Lease]], None],
        give_back: Callable[[Sequence[Lease]], None],
        poll: int,
    ) -> None:
        self._service = service
        self._inboxes = {channel: Inbox(channel, name) for channel, name in names.items()}
        self._quarantine = quarantine
        self._supersede = supersede
        self._give_back = give_back
        self._poll_seconds = max(1, poll * MOST_POLLS // max(MOST_POLLS, len(names)))
        self._arrived = asyncio.Event()
        self._error: AwsError | None = None
        self._receives = 0
        self._abandoned = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def receive(self, order: Sequence[str], limit: int, *, wait: float, hide: float) -> Sequence[Lease]:
        """From the channels in that order. With a `wait` of 0, a look at each; else for those known to be empty there
        is a long poll, and more than `limit` may be brought, for the receives to come."""
        inboxes = _working([self._inboxes[channel] for channel in order])
        self._receives += 1
        self._abandoned, self._error = False, None
        try:
            found = await self._look(inboxes, limit, hide, waits=wait > 0)
            return await self._wait(inboxes, limit, wait, hide, found) if wait > 0 else found
        except asyncio.CancelledError:
            self.abandon()
            raise
        finally:
            self._receives -= 1

    def abandon(self) -> None:
        """Nobody will come for what is here and what still arrives."""
        self._abandoned = True
        for inbox in self._inboxes.values():
            self._return(inbox, float("inf"))

    async def close(self, patience: float) -> None:
        """Gives back what arrives within `patience` seconds. What comes later shows again when its time is over."""
        self.abandon()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=patience)
        for task in set(self._tasks):
            task.cancel()

    async def _look(self, inboxes: Sequence[Inbox], limit: int, hide: float, *, waits: bool) -> list[Lease]:
        """Raises AwsError if a channel's request failed and the others have nothing."""
        found: list[Lease] = []
        errors: list[AwsError] = []
        for inbox in inboxes:
            try:
                await self._look_at(inbox, limit, hide, found, waits=waits)
            except AwsError as error:
                errors.append(error)
            except asyncio.CancelledError:
                self._give_back(found)
                raise
        if errors and not found:
            raise errors[0]
        for each in errors:
            log.warning("cannot receive", error=str(each))
        return found

    async def _look_at(
        self, inbox: Inbox, limit: int, hide: float, found: list[Lease], *, waits: bool
    ) -> None:
        """Add to `found`, up to `limit`."""
        found += inbox.take(limit - len(found), _time())
        while (room := limit - len(found)) > 0 and not (waits and (inbox.empty or inbox.polling)):
            asked = min(MOST, room + (self._ahead(inbox, hide) if waits else 0))
            # If this receive is cancelled, the request goes on: what it brings must be given back.
            came = await asyncio.shield(self._start(self._request(inbox, asked, 0, hide)))
            found += inbox.take(room, _time())
            if came < asked:
                return

    async def _wait(
        self, inboxes: Sequence[Inbox], limit: int, wait: float, hide: float, found: list[Lease]
    ) -> Sequence[Lease]:
        deadline = _time() + wait
        while True:
            for inbox in inboxes:  # before any wait: an answer may also have come during the look
                found += inbox.take(limit - len(found), _time())
            if self._error is not None and not found:
                raise self._error
            self._poll(inboxes, min(MOST, limit), hide, only_empty=bool(found))
            left = deadline - _time()
            if found or left <= 0:
                return found
            await self._arrival(left)

    async def _arrival(self, seconds: float) -> None:
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()

    def _poll(self, inboxes: Sequence[Inbox], most: int, hide: float, *, only_empty: bool) -> None:
        """Begin long polls where there is none. Those of channels with messages are left to looks, which keep the
        order of priority."""
        free = MOST_POLLS - sum(1 for inbox in self._inboxes.values() if inbox.polling)
        idle = [each for each in inboxes if each.polling is None and (each.empty or not only_empty)]
        for inbox in sorted(idle, key=lambda each: each.polled_at)[: max(0, free)]:
            inbox.polled_at = _time()
            inbox.polling = self._start(self._long_poll(inbox, most, hide))

    async def _long_poll(self, inbox: Inbox, most: int, hide: float) -> None:
        began = _time()
        try:
            came = await self._request(inbox, most, self._poll_seconds, hide)
            if came == 0 and _time() - began < self._poll_seconds / 2:
                await asyncio.sleep(REST)
        except AwsError as error:
            self._error = error
        finally:
            inbox.polling = None
            self._arrived.set()

    async def _request(self, inbox: Inbox, most: int, seconds: int, hide: float) -> int:
        """How many messages came. Those that can be read are in the inbox then."""
        began = _time()
        try:
            reply = await self._service.call(
                inbox.name,
                "receive_message",
                MaxNumberOfMessages=most,
                WaitTimeSeconds=seconds,
                VisibilityTimeout=whole_seconds(hide),
                MessageSystemAttributeNames=ATTRIBUTES,
            )
        except AwsError as error:
            inbox.empty = error.code == OVER_LIMIT
            if not inbox.empty:
                inbox.failed_at = _time()
                raise
            _say_crowded(inbox, error)
            return 0
        messages: Sequence[Message] = reply.get("Messages", ())
        inbox.empty, inbox.failed_at = not messages, float("-inf")
        inbox.crowded = inbox.crowded and inbox.empty
        latency = min(POLL_LATENCY, POLL_LATENCY_SHARE * hide)
        await self._accept(inbox, messages, max(began, _time() - latency) if seconds else began, hide)
        return len(messages)

    async def _accept(self, inbox: Inbox, messages: Sequence[Message], received: float, hide: float) -> None:
        leases, unreadable = sorted_out(messages, inbox.channel, received, hide)
        self._supersede(leases)
        wanted = self._receives > 0 or any(self._ahead(each, hide) for each in self._inboxes.values())
        if self._abandoned or not wanted or not all(fresh(lease, _time()) for lease in leases):
            self._give_back(leases)
        elif leases:
            until = _time() + max(LEAST_KEEP, KEEP_SHARE * hide)
            inbox.put(leases, until)
            asyncio.get_running_loop().call_at(until, self._return, inbox, until)
        if unreadable:
            await self._quarantine.put(inbox.name, inbox.channel, unreadable)

    def _ahead(self, inbox: Inbox, hide: float) -> int:
        """How many may be brought ahead: those that will be taken before they must be given back."""
        return inbox.pace.expected(KEEP_SHARE * hide, _time())

    def _return(self, inbox: Inbox, at: float) -> None:
        leases = inbox.leave(at)
        if leases:
            inbox.pace.forget()
            self._give_back(leases)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a receive that was cancelled meanwhile does not ask for it any more


def _working(inboxes: Sequence[Inbox]) -> Sequence[Inbox]:
    """Those that work; all of them, if none does."""
    return [inbox for inbox in inboxes if _time() - inbox.failed_at >= TROUBLE_REST] or inboxes


def _say_crowded(inbox: Inbox, error: AwsError) -> None:
    """Once, until messages come again."""
    if not inbox.crowded:
        inbox.crowded = True
        log.warning("too many messages in flight, none more come", channel=inbox.channel, error=str(error))


def _time() -> float:
    return asyncio.get_running_loop().time()
