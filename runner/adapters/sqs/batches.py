"""Batch requests: ten entries each, several at once; what failed for the service's own reasons is tried again.

A batch whose entries all failed is answered with HTTP 200 like any other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from runner.adapters.sqs.service import Service
from runner.aws import THROTTLED, AwsError, Trouble

MOST = 10  # entries in a request
AT_ONCE = 8  # requests
TRIES = 5
FIRST_PAUSE = 0.1

Entry = Mapping[str, Any]
Jitter = Callable[[], float]
T = TypeVar("T")


class Refused(NamedTuple):
    """What the service said of an entry it did not take."""

    code: str
    message: str


class Batches:
    """`jitter` is uniform in [0, 1)."""

    def __init__(self, service: Service, jitter: Jitter = random.random) -> None:
        self._service = service
        self._jitter = jitter
        # Apart, so that a long send cannot hold up a beat.
        self._slots = {urgent: asyncio.Semaphore(AT_ONCE) for urgent in (False, True)}

    async def call(
        self, name: str, operation: str, entries: Sequence[Entry], *, urgent: bool = False
    ) -> Mapping[int, Refused]:
        """The entries that were refused, by their position. Raises AwsError once all that can be done was done."""
        parts = [range(at, min(at + MOST, len(entries))) for at in range(0, len(entries), MOST)]
        calls = (self._part(name, operation, {at: entries[at] for at in part}, urgent) for part in parts)
        return {at: why for refused in await all_of(calls) for at, why in refused.items()}

    async def _part(
        self, name: str, operation: str, entries: Mapping[int, Entry], urgent: bool
    ) -> Mapping[int, Refused]:
        refused: dict[int, Refused] = {}
        left = dict(entries)
        for again in range(TRIES):
            if again:
                await asyncio.sleep(FIRST_PAUSE * 2.0 ** (again - 1) * (0.5 + self._jitter() / 2))
            failed = await self._once(name, operation, left, urgent)
            refused.update({at: why for at, (why, theirs) in failed.items() if not theirs})
            left = {at: left[at] for at, (_, theirs) in failed.items() if theirs}
            if not left:
                return refused
        return {**refused, **{at: failed[at][0] for at in left}}

    async def _once(
        self, name: str, operation: str, entries: Mapping[int, Entry], urgent: bool
    ) -> Mapping[int, tuple[Refused, bool]]:
        """Each entry that failed, and whether that is the service's fault."""
        sent = [{**entry, "Id": str(at)} for at, entry in entries.items()]
        async with self._slots[urgent]:
            reply = await self._service.call(name, operation, urgent=urgent, Entries=sent)
        return {int(each["Id"]): _judged(each) for each in reply.get("Failed", ())}


def _judged(failed: Mapping[str, Any]) -> tuple[Refused, bool]:
    code = str(failed.get("Code", "Unknown"))
    theirs = not failed.get("SenderFault", False) or code in THROTTLED
    return Refused(code, str(failed.get("Message", ""))), theirs


async def all_of(calls: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Their results. If some fail, the first error, and only after all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def error_of(operation: str, name: str, refused: Mapping[int, Refused], of: int) -> AwsError:
    """For the caller that needs every entry taken."""
    action = f"sqs:{''.join(part.capitalize() for part in operation.split('_'))}"
    code, message = next(iter(refused.values()))
    problem = f"{len(refused)} of {of} entries were not taken; the first: {message or code}"
    return AwsError(action, name, code, problem, Trouble.SERVER)
