"""Logs on files: one for each attempt, bounded by its beginning and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from runner.codec import JOB_ID
from runner.errors import BadInput
from runner.model import Attempt, TaskId
from runner.ports import LogWriter
from runner.records import UNRECORDED, Recorded

TAIL = 64 * 1024
CHUNK = 256 * 1024
PER_DIRECTORY = 1000


class FileLogs:
    """Implements `runner.ports.Logs` and `controller.ports.LogReader` under `root`:
    `<job>/<index // 1000>/<index>.<attempt>.log`.

    `limit` bytes of an attempt's output are kept. Of more than that it is the beginning and, added when the
    attempt ends, the last `TAIL`, with a line between them that says how much is missing.
    """

    live = True

    def __init__(self, root: Path, limit: int) -> None:
        self._root = str(root.absolute())
        self._limit = limit

    def writer(self, attempt: Attempt) -> LogWriter:
        path = self._path(attempt.task, attempt.number)
        with contextlib.suppress(OSError):
            os.unlink(path)
        return FileLogWriter(path, self._limit)

    async def flush(self) -> None:
        """Nothing to do: what is written is there."""

    async def read(
        self,
        task: TaskId,
        number: int,
        start: int = 0,
        recorded: Recorded = UNRECORDED,  # noqa: ARG002 - the port's: here a log is found by its name
    ) -> AsyncIterator[bytes]:
        try:
            file = os.open(self._path(task, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            while chunk := await asyncio.to_thread(os.pread, file, CHUNK, start):
                start += len(chunk)
                yield chunk
        finally:
            os.close(file)

    def _path(self, task: TaskId, number: int) -> str:
        """Raises BadInput for what could lead elsewhere."""
        if not JOB_ID.fullmatch(task.job_id) or task.index < 0 or number < 0:
            msg = f"not a task's id: {str(task)!r}#{number}"
            raise BadInput(msg)
        return f"{self._root}/{task.job_id}/{task.index // PER_DIRECTORY}/{task.index}.{number}.log"


class FileLogWriter:
    """Takes no file before the first byte. What the disk has no room for counts as dropped."""

    place = ""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._tail_limit = min(TAIL, limit // 2)
        self._head_left = limit - self._tail_limit
        self._file: int | None = None
        self._tail = bytearray()
        self._kept = 0
        self._ends_line = True
        self.written = 0

    @property
    def dropped(self) -> int:
        return self.written - self._kept - len(self._tail)

    def write(self, data: bytes) -> None:
        self.written += len(data)
        head = data[: self._head_left]
        if head:
            stored = self._store(head)
            self._kept += stored
            self._head_left -= stored
            if stored < len(head):
                self._head_left = 0  # the disk is full: what follows must not join on to this
            data = data[stored:]
        if data:
            self._tail += data
            del self._tail[: -self._tail_limit or None]

    def close(self) -> None:
        """Add the end. Idempotent."""
        if self._tail:
            if self.dropped:
                self._store(self._gap())
            self._kept += self._store(bytes(self._tail))
            self._tail.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _gap(self) -> bytes:
        line = f"[... {self.dropped} bytes not kept ...]\n".encode()
        return line if self._ends_line else b"\n" + line

    def _store(self, data: bytes) -> int:
        """How much of it the disk took."""
        stored = 0
        try:
            if self._file is None:
                self._file = _open(self._path)
            while stored < len(data):
                stored += os.write(self._file, data[stored:])
        except OSError:
            pass
        if stored:
            self._ends_line = data[stored - 1 : stored] == b"\n"
        return stored


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        _make_directory(os.path.dirname(path))
        return os.open(path, flags, 0o600)


def _make_directory(path: str) -> None:
    """Closed to others on every level: `os.makedirs` would see to the last one only."""
    with contextlib.suppress(FileExistsError):
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            _make_directory(os.path.dirname(path))
            os.mkdir(path, 0o700)
