"""An agent's logs: spooled on its disk while a task runs, many of them in one object of S3 afterwards.

The order of things, and why. When an attempt ends its log is copied into the open segment of the outbox, a file whose
key and length are known, so the place can stand in the attempt's record, which is written next: recording never waits
for S3. The segment is stored when it is full or a few seconds old. If the agent dies before, the next one on this host
stores it. If the host dies before, the record stands and points to an object that never came: `S3LogReader` says so.
The other order, store and then record, would cost a request per task, or hold every record back until its segment is
stored.

No compression: an offset must be known before the bytes are stored, a reader must be able to begin anywhere, and at
$0.023 per GB and month a million logs of 2 KB cost 5 cents.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import structlog

from runner.adapters.s3.objects import Bucket
from runner.adapters.s3.outbox import Outbox
from runner.adapters.s3.places import Place
from runner.adapters.s3.shipping import Shipper
from runner.aws import Aws
from runner.codec import JOB_ID
from runner.errors import BadInput
from runner.model import Attempt
from runner.ports import Clock, LogWriter

log = structlog.get_logger()

LIMIT = 1024**3
# A larger log is moved, not copied, and is an object by itself.
LARGEST_SHARED = 1024 * 1024

Spool = Callable[[str], LogWriter]
"""Makes the writer of a file with that path, which takes no space before its first byte."""


class Live(Protocol):
    """Shows what running attempts write, from the files they are spooled in."""

    def begun(self, attempt: Attempt, path: str) -> None: ...

    def ended(self, attempt: Attempt) -> None: ...

    async def run(self) -> None:
        """Until cancelled."""
        ...


class S3Logs:
    """Implements `runner.ports.Logs`. Make it under the host's lock: `folder` is its alone.

    `owner` is `host#incarnation`. `limit` bounds what waits on disk while S3 is out of reach, in bytes.
    """

    def __init__(
        self,
        aws: Aws,
        bucket: str,
        owner: str,
        folder: Path,
        spool: Spool,
        now: Clock,
        *,
        limit: int = LIMIT,
        live: Live | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._spool = spool
        self._folder = folder / "spool"
        # What an earlier agent's tasks wrote last: an adopted container delivers it again, from the beginning.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        self._outbox = Outbox(folder / "outbox", owner, now, limit)
        # Weakly: one that was never closed must not keep the agent looking busy.
        self._writers: WeakSet[_Writer] = WeakSet()
        self._shipper = Shipper(Bucket(aws, bucket), self._outbox, lambda: bool(self._writers), jitter)
        self._live = live
        self._chores: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to store, what an earlier agent left first."""
        works = [self._shipper.run, *([self._live.run] if self._live else [])]
        self._chores = [asyncio.create_task(work()) for work in works]
        for chore in self._chores:
            chore.add_done_callback(_say_if_broken)

    async def close(self) -> None:
        """What is not stored by now stays on the disk, for the next agent here."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._outbox.seal()

    async def flush(self) -> None:
        """Raises Unavailable if some are not stored within some seconds."""
        await self._shipper.flush()

    def writer(self, attempt: Attempt) -> LogWriter:
        """Raises BadInput for an attempt whose name could lead elsewhere."""
        task = attempt.task
        if not JOB_ID.fullmatch(task.job_id) or task.index < 0 or attempt.number < 0:
            msg = f"not a task's id: {str(attempt)[:200]!r}"
            raise BadInput(msg)
        path = str(self._folder / f"{task.job_id}.{task.index}.{attempt.number}")
        with suppress(OSError):
            os.unlink(path)
        writer = _Writer(self, self._spool(path), attempt, path)
        self._writers.add(writer)
        return writer

    def begun(self, attempt: Attempt, path: str) -> None:
        if self._live is not None:
            self._live.begun(attempt, path)

    def ended(self, writer: _Writer) -> None:
        self._writers.discard(writer)
        self._shipper.look()

    def keep(self, attempt: Attempt, path: str) -> Place | None:
        """Take a finished log out of its spool file. None if there is no room for it."""
        if self._live is not None:
            self._live.ended(attempt)
        try:
            place = self._moved(path)
        except OSError as error:
            log.error("a log is lost", attempt=str(attempt), error=str(error))
            place = None
        with suppress(OSError):
            os.unlink(path)
        return place

    def _moved(self, path: str) -> Place | None:
        size = os.stat(path).st_size
        if size <= LARGEST_SHARED:
            content = Path(path).read_bytes()
            if place := self._outbox.append(content, asyncio.get_running_loop().time()):
                return place
        # Also what a full disk has no room to copy.
        return self._outbox.adopt(path, size)


def _say_if_broken(chore: asyncio.Task[None]) -> None:
    """Tasks go on without; what they wrote waits on the disk."""
    if not chore.cancelled() and (error := chore.exception()) is not None:
        log.critical("logs are no longer stored", exc_info=error)


class _Writer:
    """Implements `runner.ports.LogWriter`."""

    def __init__(self, logs: S3Logs, spool: LogWriter, attempt: Attempt, path: str) -> None:
        self._logs = logs
        self._spool = spool
        self._attempt = attempt
        self._path = path
        self._open = False
        self._lost = False
        self.place = ""

    @property
    def written(self) -> int:
        return self._spool.written

    @property
    def dropped(self) -> int:
        return self._spool.written if self._lost else self._spool.dropped

    def write(self, data: bytes) -> None:
        self._spool.write(data)
        if data and not self._open:
            self._open = True
            self._logs.begun(self._attempt, self._path)

    def close(self) -> None:
        self._spool.close()
        if self._open:
            self._open = False
            place = self._logs.keep(self._attempt, self._path)
            self._lost = place is None
            self.place = str(place or "")
        self._logs.ended(self)
