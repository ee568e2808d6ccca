"""Logs on their way: on this host's disk, in the pieces in which they will lie in S3.

A segment takes the logs of many tasks one after the other; a large log is an object by itself. A file is named by its
object's key, so that a later agent on this host can send what an earlier one left without knowing more. Nothing is
synced: this serves the death of the agent; with the machine its last seconds of logs are gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from runner.adapters.s3.places import PREFIX, Place, key_prefix, object_key
from runner.ports import Clock

SEGMENT = 8 * 1024 * 1024


@dataclass(slots=True)
class _Segment:
    """The one that is being written. `since`: the loop's time when it was begun; `logs`: how many are in it."""

    key: str
    file: int
    since: float
    size: int = 0
    logs: int = 0


class Outbox:
    """`limit` bounds all of it, in bytes: what comes when it is full is not kept."""

    def __init__(self, folder: Path, owner: str, now: Clock, limit: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = str(folder)
        self._prefix = key_prefix(owner)
        self._now = now
        self._limit = limit
        self._open: _Segment | None = None
        self._number = 0
        self._ready = dict(_left_in(self._folder))
        self.size = sum(self._ready.values())

    @property
    def since(self) -> float | None:
        """Since when, in the loop's time, the open segment waits; None if there is none."""
        return self._open.since if self._open else None

    @property
    def logs(self) -> int:
        """How many the open segment has."""
        return self._open.logs if self._open else 0

    @property
    def ready(self) -> list[str]:
        """Keys of what can be sent, in the order in which it should be."""
        return list(self._ready)

    def append(self, data: bytes, at: float) -> Place | None:
        """To the open segment. `at` is the loop's time. None if there is no room for it, here or on the disk."""
        if self.size + len(data) > self._limit:
            return None
        try:
            segment = self._open = self._open or self._begun(at)
            offset = segment.size
            stored = _written(segment.file, data)
        except OSError:
            return None
        segment.size += stored
        segment.logs += 1
        self.size += stored
        # What the disk took only a part of stays where it is, and nobody points to it.
        place = Place(segment.key, offset, stored) if stored == len(data) else None
        if segment.size >= SEGMENT:
            self.seal()
        return place

    def adopt(self, path: str, size: int) -> Place | None:
        """Take over a whole file as an object by itself. None if there is no room for it; then it stays."""
        if self.size + size > self._limit:
            return None
        key = self._next_key()
        try:
            os.rename(path, self.path(key))
        except OSError:
            return None
        self._ready[key] = size
        self.size += size
        return Place(key, 0, size)

    def seal(self) -> None:
        """Nothing more goes into the open segment."""
        if self._open is not None:
            os.close(self._open.file)
            self._ready[self._open.key] = self._open.size
            self._open = None

    def gone(self, key: str) -> None:
        """It was sent, or cannot be."""
        self.size -= self._ready.pop(key)
        with suppress(OSError):
            os.unlink(self.path(key))

    def put_off(self, key: str) -> None:
        """Behind the others: what S3 will not have must not stand in their way."""
        self._ready[key] = self._ready.pop(key)

    def path(self, key: str) -> str:
        return f"{self._folder}/{quote(key, safe='')}"

    def _begun(self, at: float) -> _Segment:
        key = self._next_key()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return _Segment(key, os.open(self.path(key), flags, 0o600), at)

    def _next_key(self) -> str:
        self._number += 1
        return object_key(self._prefix, self._now(), self._number)


def _written(file: int, data: bytes) -> int:
    """How much of it the disk took."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file, view) :]
    except OSError:
        pass
    return len(data) - len(view)


def _left_in(folder: str) -> Iterator[tuple[str, int]]:
    """What an earlier agent did not get to send, oldest first; whatever else lies there stays."""
    with os.scandir(folder) as entries:
        files = sorted(entries, key=lambda entry: entry.stat().st_mtime)
    for entry in files:
        key = unquote(entry.name)
        if key.startswith(PREFIX) and entry.is_file(follow_symlinks=False):
            yield key, entry.stat().st_size
