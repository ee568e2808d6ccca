"""Reads from CloudWatch Logs what tasks wrote on AWS Batch."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from controller.adapters.batch.details import batch_job
from controller.adapters.batch.output import LogPlace, parse_place
from controller.adapters.batch.service import BatchService
from controller.ports import LogReader
from runner.aws import Aws, AwsError, Trouble
from runner.errors import NotFound
from runner.model import TaskId
from runner.records import UNRECORDED, Recorded

# Of running tasks no stream is asked for more often, in seconds: the service allows few reads to an account.
INTERVAL = 2.0
MOST_FOLLOWED = 256

PASSING = frozenset({Trouble.THROTTLED, Trouble.SERVER, Trouble.UNREACHABLE})


@dataclass(slots=True)
class _Position:
    """How far a stream was read: `at` bytes of lines, where the service's `token` goes on."""

    at: int = 0
    token: str = ""
    next_at: float = 0.0


class BatchLogReader:
    """Implements `controller.ports.LogReader`; `others` reads what was not written on AWS Batch."""

    def __init__(self, aws: Aws, group: str, others: LogReader) -> None:
        self._aws = aws
        self._group = group
        self._others = others
        self._service = BatchService(aws)
        self._streams: OrderedDict[str, str] = OrderedDict()
        self._positions: OrderedDict[LogPlace, _Position] = OrderedDict()

    @property
    def live(self) -> bool:
        return self._others.live

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        """Raises NotFound for what CloudWatch Logs does not have any more, AwsError."""
        ended = recorded.outcome
        place = parse_place(ended.log) if ended is not None else await self._running(recorded.owner)
        if place is None:
            if ended is not None or not _is_batch(recorded.owner):
                async for data in self._others.read(task, number, start, recorded):
                    yield data
            return
        async for data in self._lines(place, start, live=ended is None):
            yield data

    async def _running(self, owner: str | None) -> LogPlace | None:
        """Where a running attempt writes to; its owner is the Batch job."""
        if owner is None or not _is_batch(owner):
            return None
        if owner not in self._streams:
            child = owner.partition("#")[0]
            detail = (await self._service.describe([child])).get(child)
            stream = batch_job(detail).stream if detail else ""
            if not stream:
                return None
            self._streams[owner] = stream
            _bound(self._streams)
        return LogPlace(self._group, self._streams[owner])

    async def _lines(self, place: LogPlace, start: int, *, live: bool) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time()
        position = self._positions.setdefault(place, _Position())
        _bound(self._positions)
        if start < position.at:
            position = self._positions[place] = _Position()
        if live and now < position.next_at:
            return
        position.next_at = now + INTERVAL
        while True:
            data, token = await self._page(place, position.token)
            begin, position.at = position.at, position.at + len(data)
            if position.at > start:
                yield data[max(0, start - begin) :]
            ended, position.token = token == position.token, token
            if ended or not token:
                return

    async def _page(self, place: LogPlace, token: str) -> tuple[bytes, str]:
        asked: dict[str, Any] = {"logGroupName": place.group, "logStreamName": place.stream}
        if token:
            asked["nextToken"] = token
        try:
            reply = await self._aws.call("logs", "get_log_events", startFromHead=True, **asked)
        except AwsError as error:
            if error.trouble in PASSING:
                return b"", token
            if error.code == "ResourceNotFoundException":
                message = f"CloudWatch Logs does not have {place.group} {place.stream} (any more)"
                raise NotFound(message) from error
            raise
        lines = [str(event["message"]) for event in reply.get("events") or ()]
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        return data, str(reply.get("nextForwardToken") or "")


def _is_batch(owner: str | None) -> bool:
    """A Batch job's id is a UUID, with a child's index behind it."""
    return owner is not None and owner.partition(":")[0].partition("#")[0].count("-") == 4


def _bound(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > MOST_FOLLOWED:
        kept.popitem(last=False)
