"""Reads what tasks wrote: one task's output as it is, or a whole job's, by line; once, or as it grows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from controller.ports import LogReader, Records
from runner.errors import NotFound
from runner.model import Status, TaskId
from runner.records import UNRECORDED, JobRecord, Recorded, TaskRecord

Missing = Callable[[str], None]
"""Told of each log that was kept and is gone."""

POLL = 0.3
PAGE = 1000
# A line that does not end is passed on in parts of this size.
LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a task's output, without its end."""

    task: TaskId
    attempt: int
    data: bytes


class Source:
    """One attempt's output, read on from where it was read last. `tail`: only so many lines of the past.

    `missing` is told once of a log that is gone.
    """

    def __init__(
        self,
        logs: LogReader,
        task: TaskId,
        attempt: int,
        tail: int | None,
        missing: Missing = lambda _: None,
    ) -> None:
        self._logs = logs
        self.task = task
        self.attempt = attempt
        self._tail = tail
        self._missing = missing
        self._offset = 0
        self._looked = False
        self._partial = b""
        self._gone = False

    async def new(self, recorded: Recorded = UNRECORDED) -> AsyncIterator[bytes]:
        """What was written since the last call."""
        past = None if self._looked or self._tail is None else _Tail(self._tail)
        self._looked = True
        async for data in self._kept(recorded):
            self._offset += len(data)
            if past is None:
                yield data
            else:
                past.add(data)
        if past is not None:
            yield past.data

    async def _kept(self, recorded: Recorded) -> AsyncIterator[bytes]:
        if self._gone:
            return
        try:
            async for data in self._logs.read(self.task, self.attempt, self._offset, recorded):
                yield data
        except NotFound as error:
            self._gone = True
            self._missing(str(error))

    async def lines(self, recorded: Recorded = UNRECORDED, *, last: bool) -> AsyncIterator[Line]:
        """Whole lines since the last call; `last`: what remains counts as a line as well."""
        async for data in self.new(recorded):
            *whole, self._partial = (self._partial + data).split(b"\n")
            for line in whole:
                yield self._line(line)
            if len(self._partial) > LONGEST_LINE:
                yield self._rest()
        if last and self._partial:
            yield self._rest()

    def _rest(self) -> Line:
        rest, self._partial = self._partial, b""
        return self._line(rest)

    def _line(self, data: bytes) -> Line:
        return Line(self.task, self.attempt, data)


class _Tail:
    """Keeps the last lines of what is added, and no more than those."""

    def __init__(self, lines: int) -> None:
        self._most = lines
        self._lines: deque[bytes] = deque([b""])

    def add(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._lines[-1] += first
        self._lines.extend(others)
        # The piece behind the last newline is not a line as long as it is empty.
        while len(self._lines) > max(1, self._most + (not self._lines[-1])):
            self._lines.popleft()

    @property
    def data(self) -> bytes:
        return b"\n".join(self._lines) if self._most else b""


async def recorded_of(records: Records, record: TaskRecord, number: int) -> Recorded:
    """What the ledger has of the task's attempt of that number. Reads its history only for an earlier one."""
    if number == record.attempt:
        return Recorded(record.owner, record.begun_at, record.outcome)
    for ended in await records.attempts(record.task):
        if ended.number == number:
            return Recorded(ended.owner, ended.begun_at, ended.outcome)
    return UNRECORDED


async def read_task(
    records: Records,
    logs: LogReader,
    task: TaskId,
    *,
    attempt: int | None = None,
    tail: int | None = None,
    follow: bool = False,
    missing: Missing = lambda _: None,
) -> AsyncIterator[tuple[int, bytes]]:
    """A task's output with the attempt it is of: the one given, else the latest.

    `follow`: until the task has ended, through all attempts to come.
    """
    source: Source | None = None
    while True:
        # Read before the output: once the record says that it has ended, all of the output is there.
        record = await records.task(task)
        number = (attempt or record.attempt) if record else 0
        if record and number and (source is None or source.attempt != number):
            if source is not None:
                async for data in source.new(await recorded_of(records, record, source.attempt)):
                    yield source.attempt, data
            source = Source(logs, task, number, tail if source is None else None, missing)
        if record and source is not None:
            async for data in source.new(await recorded_of(records, record, source.attempt)):
                yield source.attempt, data
        if not follow or await _no_more(records, task, record, attempt):
            return
        await asyncio.sleep(POLL)


async def _no_more(records: Records, task: TaskId, record: TaskRecord | None, attempt: int | None) -> bool:
    if record is not None and (record.status.terminal or (attempt is not None and record.attempt > attempt)):
        return True
    job = await records.job(task.job_id)
    return job is None or job.status.terminal


class Merged:
    """The output of all of a job's tasks, line by line.

    Tasks that ended are left behind: what is kept grows with those still open between them, not with the job.
    """

    def __init__(
        self,
        records: Records,
        logs: LogReader,
        record: JobRecord,
        tail: int | None,
        missing: Missing = lambda _: None,
    ) -> None:
        self._records = records
        self._logs = logs
        self._missing = missing
        self._job_id = record.job.id
        self._tail = tail
        self._open: dict[int, Source] = {}
        self._read_out: dict[int, int] = {}
        self._ended: set[int] = set()
        self._indices: Iterator[int] = iter(record.job.array)
        self._frontier: int | None = next(self._indices, None)
        self._behind = -1

    async def lines(self, *, follow: bool) -> AsyncIterator[Line]:
        loop = asyncio.get_running_loop()
        while True:
            job = await self._records.job(self._job_id)
            ended = not follow or job is None or job.status.terminal
            began = loop.time()
            async for line in self._scan(last=ended):
                yield line
            if ended:
                return
            # A scan of very many open tasks must not keep the machine from running them.
            await asyncio.sleep(max(POLL, 5 * (loop.time() - began)))

    async def _scan(self, *, last: bool) -> AsyncIterator[Line]:
        after = self._behind
        while found := await self._records.tasks(self._job_id, after=after, limit=PAGE):
            for task in found:
                async for line in self._read(task, last=last):
                    yield line
            after = found[-1].task.index
        self._tail = None  # cuts the past only: what begins from now on is wanted whole
        self._leave_behind()

    async def _read(self, task: TaskRecord, *, last: bool) -> AsyncIterator[Line]:
        index = task.task.index
        if task.status.terminal:
            self._ended.add(index)
        if self._read_out.get(index) == task.attempt:
            return
        source = self._open.get(index)
        if source is not None and source.attempt != task.attempt:
            async for line in source.lines(await recorded_of(self._records, task, source.attempt), last=True):
                yield line
            source = None
        if source is None:
            source = Source(self._logs, task.task, task.attempt, self._tail, self._missing)
            self._open[index] = source
        # A task that waits for another try has ended this attempt as well.
        over = task.status is not Status.RUNNING
        recorded = await recorded_of(self._records, task, task.attempt)
        async for line in source.lines(recorded, last=last or over):
            yield line
        if over:
            del self._open[index]
            self._read_out[index] = task.attempt

    def _leave_behind(self) -> None:
        """Everything up to the first task that has not ended need not be looked at again."""
        while self._frontier is not None and self._frontier in self._ended:
            self._ended.discard(self._frontier)
            self._read_out.pop(self._frontier, None)
            self._behind = self._frontier
            self._frontier = next(self._indices, None)
