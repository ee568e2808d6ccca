"""One database file: grouped durable writes, consistent reads beside them, quick looks in between."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from runner.adapters.sqlite import connection, trouble
from runner.adapters.sqlite.group import Haste, Work
from runner.adapters.sqlite.signal import Signal
from runner.adapters.sqlite.writer import Writer

T = TypeVar("T")

PATIENCE = 10.0


class Database:
    """Made by `open` or `memory`; belongs to the event loop it is used in. Every method raises StorageError.

    `arrivals` tells the receivers in this process that a queue got something. `shared`: other processes may
    write to it too, unheard.
    """

    def __init__(
        self,
        file: str,
        writer: sqlite3.Connection,
        *,
        reader: sqlite3.Connection | None = None,
        peeker: sqlite3.Connection | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.file = file
        self.shared = reader is not None
        self.arrivals = Signal()
        self._connection = writer
        self._reader = reader
        self._peeker = peeker or writer
        # One thread each, so that a long read does not hold up a commit.
        self._writing = ThreadPoolExecutor(1, "sqlite-write") if self.shared else None
        self._reading = ThreadPoolExecutor(1, "sqlite-read") if self.shared else None
        self._writer = Writer(writer, file, self._writing, patience)

    @classmethod
    def memory(cls) -> Self:
        """For this process only, gone with it; without threads, so that it also works in virtual time."""
        return cls(":memory:", connection.open_memory())

    @classmethod
    async def open(cls, path: Path, *, patience: float = PATIENCE) -> Self:
        """The file at `path`, created if there is none. `patience`: seconds to wait for others' locks."""
        writer, reader, peeker = await asyncio.to_thread(connection.open_file, path, patience)
        return cls(str(path), writer, reader=reader, peeker=peeker, patience=patience)

    async def write(self, work: Work[T], *, haste: Haste = Haste.SOON) -> T:
        """What `work` returns, once all it wrote is on disk. It may run more than once: see `Writer.run`."""
        return await self._writer.run(work, haste)

    async def read(self, work: Work[T]) -> T:
        """What `work` returns of one consistent state, without holding up writes or the event loop."""
        if self._reader is None:
            await asyncio.sleep(0)
            return self.peek(work)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._read, self._reader, work)

    def _read(self, reader: sqlite3.Connection, work: Work[T]) -> T:
        with trouble.explained(self.file):
            reader.execute("BEGIN")
            try:
                return work(reader)
            finally:
                reader.execute("ROLLBACK")

    def peek(self, work: Work[T]) -> T:
        """A read of some microseconds, right here: a thread would cost many times as much."""
        with trouble.explained(self.file):
            return work(self._peeker)

    async def close(self) -> None:
        """Waits for what is under way. Whoever closes last folds the log into the file."""
        await self._writer.idle.wait()
        if self.shared:
            await asyncio.to_thread(self._close)
        else:
            self._close()

    def _close(self) -> None:
        for threads in (self._writing, self._reading):
            if threads is not None:
                threads.shutdown()
        for each in (self._reader, self._peeker, self._connection):
            if each is not None:
                each.close()
