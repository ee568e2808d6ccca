"""`runner.ports.Queue` on SQS."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from runner.adapters.sqs.batches import Batches, Jitter, Refused, all_of, error_of
from runner.adapters.sqs.depth import Depth
from runner.adapters.sqs.holds import Extended, Over
from runner.adapters.sqs.linger import Linger
from runner.adapters.sqs.quarantine import Quarantine
from runner.adapters.sqs.receiving import Receiver
from runner.adapters.sqs.service import Service
from runner.adapters.sqs.visibility import still_allowed, whole_seconds
from runner.aws import Aws, AwsError, Trouble
from runner.codec import encode_pointer
from runner.model import Lease, TaskId
from runner.ports import Clock
from runner.records import Backlog

log = structlog.get_logger()

# The longest that SQS delays a message. A longer backoff is the ledger's to keep: who comes too early is told so.
LONGEST_DELAY = 900

# How long deletes wait for company, in seconds; as ten fill a request, only few tasks a second make them wait so long.
LINGER = 5.0
# The same for releases, for which somebody waits.
RELEASE_LINGER = 0.1
# A delete goes out so long before its message would show again, in seconds.
IN_TIME = 5.0
# Between tries at deletes, in seconds. If the last fails, the message comes back and the ledger knows its task.
PAUSES = (1.0, 5.0)

LONGEST_POLL = 20
# How long an answer about the queues' depth serves, in seconds.
FRESH = 5.0
# How long `close` waits for answers that may bring messages, in seconds.
PATIENCE = 2.0

# Every so many receives the channels are served in reverse, so that the lowest priority still moves.
REVERSE_EVERY = 10

LOST = frozenset(
    {"ReceiptHandleIsInvalid", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"}
)
INVALID = "InvalidParameterValue"

SEND, DELETE, CHANGE = "send_message_batch", "delete_message_batch", "change_message_visibility_batch"


class Hide(NamedTuple):
    lease: Lease
    seconds: int


class SqsQueue:
    """`channels` maps each channel it receives from to its priority: higher is served first, equals in turn. Every
    tenth receive goes the other way round. It sends to any channel. `name` tells a channel's SQS queue, `dead_letters`
    is the name of the one for messages of which nothing can be made.

    `linger`: seconds that deletes wait for company; with 0 `complete` waits for the delete. `poll`: seconds that a
    long poll lasts, a whole number. `fresh`: seconds that an answer about depth serves. `jitter` is uniform in [0, 1).
    """

    def __init__(
        self,
        aws: Aws,
        now: Clock,
        channels: Mapping[str, int],
        *,
        name: Callable[[str], str],
        dead_letters: str,
        linger: float = LINGER,
        poll: int = LONGEST_POLL,
        fresh: float = FRESH,
        jitter: Jitter = random.random,
    ) -> None:
        self._priorities = dict(channels)
        self._name = name
        self._linger = linger
        self._turn = 0
        self._over = Over()
        self._extended = Extended()
        service = Service(aws)
        names = {channel: name(channel) for channel in channels}
        self._batches = Batches(service, jitter)
        self._deletes = Linger(self._delete)
        self._hides = Linger(self._hide)
        self._depth = Depth(service, now, names, fresh)
        self._quarantine = Quarantine(service, now, dead_letters)
        self._receiver = Receiver(service, names, self._quarantine, self._supersede, self._give_back, poll)

    async def send(self, queue: str, tasks: Sequence[TaskId], *, delay: float = 0.0) -> None:
        """If it fails, some may have been sent."""
        delayed = min(LONGEST_DELAY, whole_seconds(delay))
        entries = [{"MessageBody": encode_pointer(task), "DelaySeconds": delayed} for task in tasks]
        name = self._name(queue)
        refused = await self._batches.call(name, SEND, entries)
        if refused:
            raise error_of(SEND, name, refused, len(entries))

    async def receive(self, limit: int, *, wait: float, hide: float) -> Sequence[Lease]:
        if limit <= 0:
            return ()
        return await self._receiver.receive(self._order(), limit, wait=wait, hide=hide)

    async def extend(self, leases: Sequence[Lease], hide: float) -> Sequence[Lease]:
        """A message received nearly 12 hours ago cannot be hidden any longer. It shows, and the ledger refuses it to
        whoever receives it, as long as beats come."""
        held = by_channel(lease for lease in leases if lease not in self._over)
        lost = await all_of(self._extend(channel, group, hide) for channel, group in held.items())
        return [lease for each in lost for lease in each]

    async def complete(self, leases: Sequence[Lease]) -> None:
        """Deletes soon. One that fails for good is logged: the message comes back, and the ledger knows its task."""
        at = asyncio.get_running_loop().time()
        sent = []
        for channel, group in by_channel(lease for lease in leases if lease not in self._over).items():
            by = min(at + self._linger, min(map(self._extended.until, group)) - IN_TIME)
            self._over.update(group)
            sent.append(self._deletes.add(self._name(channel), group, by))
        if self._linger <= 0:
            await all_of(asyncio.shield(each) for each in sent)

    async def release(self, lease: Lease, delay: float = 0.0) -> None:
        if lease in self._over:
            return
        self._over.update([lease])
        at = asyncio.get_running_loop().time()
        hide = Hide(lease, still_allowed(delay, at - lease.received))
        by = at + min(self._linger, RELEASE_LINGER)
        # Shared with others' releases: that one of them is cancelled must not cancel it.
        await asyncio.shield(self._hides.add(self._name(lease.queue), [hide], by))

    async def quarantine(self, lease: Lease, reason: str) -> None:
        """Raises AwsError if the dead letters do not take it; then it comes back in its time."""
        if lease in self._over:
            return
        body = encode_pointer(lease.task)
        await self._quarantine.copy(body, reason, channel=lease.queue, receives=lease.receives)
        await self.complete([lease])

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._depth.read()

    async def flush(self) -> None:
        """Deletes and releases that wait for company are sent; returns when all are done."""
        await self._deletes.flush()
        await self._hides.flush()

    async def close(self) -> None:
        """Gives back what was brought and not received, and flushes. Call nothing else afterwards."""
        await self._receiver.close(PATIENCE)
        await self.flush()

    def _order(self) -> Sequence[str]:
        self._turn += 1
        channels = list(self._priorities)
        shift = self._turn % len(channels) if channels else 0
        turned = channels[shift:] + channels[:shift]
        reverse = self._turn % REVERSE_EVERY == 0
        return sorted(turned, key=self._priorities.__getitem__, reverse=not reverse)

    def _supersede(self, leases: Sequence[Lease]) -> None:
        """What waits or is tried again for a message's earlier receipt must not befall who begins it by this one."""
        again = {lease.message_id for lease in leases}
        self._deletes.withdraw(lambda lease: lease.message_id in again)
        self._hides.withdraw(lambda hide: hide.lease.message_id in again)

    def _give_back(self, leases: Sequence[Lease]) -> None:
        """In the background; if it fails they show when their time is over."""
        at = asyncio.get_running_loop().time()
        for channel, group in by_channel(leases).items():
            self._hides.add(self._name(channel), [Hide(lease, 0) for lease in group], at)

    async def _extend(self, channel: str, leases: Sequence[Lease], hide: float) -> Sequence[Lease]:
        """Those that are lost."""
        at = asyncio.get_running_loop().time()
        leases = [lease for lease in leases if still_allowed(hide, at - lease.received)]
        hides = [Hide(lease, still_allowed(hide, at - lease.received)) for lease in leases]
        refused = await self._change(self._name(channel), hides)
        self._extended.update(
            (leases[nth], at + each.seconds) for nth, each in enumerate(hides) if nth not in refused
        )
        failed = {at: why for at, why in refused.items() if not is_lost(why) and why.code != INVALID}
        if failed:
            raise error_of(CHANGE, self._name(channel), failed, len(leases))
        return [leases[at] for at, why in refused.items() if is_lost(why)]

    async def _hide(self, name: str, hides: Sequence[Hide]) -> None:
        refused = await self._change(name, hides)
        if failed := [why for why in refused.values() if not is_lost(why)]:
            log.warning("cannot release", queue=name, messages=len(failed), code=failed[0].code)

    async def _change(self, name: str, hides: Sequence[Hide]) -> Mapping[int, Refused]:
        entries = [{"ReceiptHandle": hide.lease.token, "VisibilityTimeout": hide.seconds} for hide in hides]
        return await self._batches.call(name, CHANGE, entries, urgent=True)

    async def _delete(self, name: str, leases: Sequence[Lease]) -> None:
        for pause in (*PAUSES, None):
            entries = [{"ReceiptHandle": lease.token} for lease in leases]
            try:
                refused = await self._batches.call(name, DELETE, entries)
            except AwsError as error:
                if pause is None or error.trouble in (Trouble.DENIED, Trouble.REFUSED):
                    log.warning("cannot delete", queue=name, messages=len(leases), error=str(error))
                    return
                await asyncio.sleep(pause)
            else:
                if failed := [why for why in refused.values() if not is_lost(why)]:
                    log.warning("cannot delete", queue=name, messages=len(failed), code=failed[0].code)
                return


def by_channel(leases: Iterable[Lease]) -> Mapping[str, Sequence[Lease]]:
    groups: dict[str, list[Lease]] = {}
    for lease in leases:
        groups.setdefault(lease.queue, []).append(lease)
    return groups


def is_lost(refused: Refused) -> bool:
    """Whether the message is no longer ours. The service has one code for that and for too long a time, too."""
    return refused.code in LOST or (refused.code == INVALID and "does not exist" in refused.message)
