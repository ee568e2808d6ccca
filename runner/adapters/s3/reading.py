"""Reads logs from where the attempts' records say that they lie."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from runner.adapters.s3.objects import Bucket
from runner.adapters.s3.places import Place, parse_place
from runner.aws import Aws
from runner.errors import NotFound, StorageError
from runner.model import Kind, Outcome, TaskId
from runner.ports import Clock
from runner.records import UNRECORDED, Recorded

CHUNK = 1024 * 1024

# Behind a small log may lie those that are asked for next, or those of other jobs. So little is read ahead at first,
# and twice as much each time that the next read was near, up to so many bytes.
LEAST_AHEAD, MOST_AHEAD = 4096, 256 * 1024
# Of one object: tasks do not end in the order in which their logs are read.
WINDOWS = 2
# Of all objects, in bytes: those of some 250 hosts.
MEMORY = 128 * 1024 * 1024

# Between an attempt's record and its log in S3 lies the time that a segment lingers. An object that was begun longer
# ago than RECENT is not waited for, and no object for longer than PATIENCE in all.
RECENT = 120.0
PATIENCE = 30.0
POLL = 0.5


class LiveReader(Protocol):
    def read(
        self, task: TaskId, number: int, start: int, owner: str, begun_at: float
    ) -> AsyncIterator[bytes]:
        """What a running attempt wrote from byte `start` on, as far as it is known by now."""
        ...


class Window(NamedTuple):
    """Some bytes of an object."""

    begin: int
    data: bytes

    @property
    def end(self) -> int:
        return self.begin + len(self.data)


class Windows:
    """What was read of objects, up to `memory` bytes; the object that was not asked for the longest is forgotten first,
    and with it how much to read ahead."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._of: OrderedDict[str, deque[Window]] = OrderedDict()
        self.size = 0

    def find(self, key: str, at: int) -> Window | None:
        if key not in self._of:
            return None
        self._of.move_to_end(key)
        return next((window for window in self._of[key] if window.begin <= at < window.end), None)

    def ahead(self, key: str, at: int) -> int:
        """How many bytes are worth reading from `at` on."""
        if key not in self._of:
            return LEAST_AHEAD
        last = self._of[key][-1]
        near = last.begin - len(last.data) <= at <= last.end + len(last.data)
        return min(MOST_AHEAD, 2 * len(last.data)) if near else LEAST_AHEAD

    def put(self, key: str, window: Window) -> None:
        windows = self._of.setdefault(key, deque())
        self._of.move_to_end(key)
        windows.append(window)
        self.size += len(window.data)
        if len(windows) > WINDOWS:
            self.size -= len(windows.popleft().data)
        while self.size > self._memory:
            _, forgotten = self._of.popitem(last=False)
            self.size -= sum(len(each.data) for each in forgotten)


class S3LogReader:
    """Implements `controller.ports.LogReader`. `live` serves the attempts that run."""

    def __init__(self, aws: Aws, bucket: str, now: Clock, live: LiveReader | None = None) -> None:
        self._bucket = Bucket(aws, bucket)
        self._now = now
        self._live = live
        self._windows = Windows()
        self._awaited: dict[str, float] = {}

    @property
    def live(self) -> bool:
        return self._live is not None

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        """Raises NotFound for a log that was recorded and is not there, StorageError for a damaged record."""
        if recorded.outcome is not None:
            async for data in self._stored(f"{task}#{number}", recorded.outcome, start):
                yield data
        elif self._live is not None and recorded.owner is not None:
            begun_at = recorded.begun_at or self._now()
            async for data in self._live.read(task, number, start, recorded.owner, begun_at):
                yield data

    async def _stored(self, attempt: str, outcome: Outcome, start: int) -> AsyncIterator[bytes]:
        if not outcome.log:
            if outcome.kind is Kind.LOST and outcome.started_at is None:
                msg = f"what {attempt} wrote is lost with its host or agent, which fell silent while it ran"
                raise NotFound(msg)
            return
        try:
            place = parse_place(outcome.log)
        except ValueError as error:
            msg = f"the record of {attempt} is damaged: {error}"
            raise StorageError(msg) from error
        at, end = place.offset + start, place.offset + place.length
        while at < end:
            data = await self._piece(attempt, place, at, end)
            at += len(data)
            yield data

    async def _piece(self, attempt: str, place: Place, at: int, end: int) -> bytes:
        """Some of the bytes from `at` to `end`."""
        if known := self._windows.find(place.key, at):
            return known.data[at - known.begin : end - known.begin]
        length = max(min(end - at, CHUNK), self._windows.ahead(place.key, at))
        data = await self._arrived(attempt, place, at, length)
        if not data:
            msg = f"the log of {attempt} ends early: {self._bucket.url(place.key)} has nothing at byte {at}"
            raise NotFound(msg)
        if length <= MOST_AHEAD:
            self._windows.put(place.key, Window(at, data))
        return data[: end - at]

    async def _arrived(self, attempt: str, place: Place, at: int, length: int) -> bytes:
        """From the object, which may still be on its way."""
        loop = asyncio.get_running_loop()
        while True:
            found = await self._bucket.get(place.key, at, length)
            if found is not None:
                return found
            awaited = self._awaited.setdefault(place.key, loop.time())
            if loop.time() >= awaited + PATIENCE or self._now() >= place.opened_at + RECENT:
                msg = (
                    f"the log of {attempt} is not in {self._bucket.url(place.key)}: its host was lost, or could not "
                    f"reach S3, before it was stored; or it was stored and has been deleted since"
                )
                raise NotFound(msg)
            await asyncio.sleep(POLL)
