"""Lines and items of arrays in files named by their content.

A file holds the items, each as a line of JSON, then where each begins (64-bit numbers, one more than there
are items), then how many there are. So it is there as a whole or not at all, and an item costs three reads.
"""

from __future__ import annotations

import array
import asyncio
import hashlib
import json
import os
import re
import secrets
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from runner.errors import BadInput, NotFound, StorageError, Unavailable

LARGEST_ITEM = 64 * 1024
BATCH = 1000

_NAME = re.compile(r"[0-9a-f]{64}")
_SPAN = struct.Struct("<QQ")
_TRAILER = struct.Struct("<Q8s")
_MAGIC = b"SHARDS 1"


class FileManifests:
    """Implements `runner.ports.Manifests` under `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, items: Sequence[str] | AsyncIterator[str]) -> str:
        """Raises BadInput for an item that is too large, StorageError where the disk has no room."""
        draft = _Draft(self._root)
        try:
            await asyncio.to_thread(draft.open)
            async for batch in batches(items):
                await asyncio.to_thread(draft.add, batch)
            return await asyncio.to_thread(draft.publish)
        except OSError as error:
            msg = f"cannot write a manifest in {self._root}: {os.strerror(error.errno or 0)}"
            raise StorageError(msg) from error
        finally:
            draft.discard()

    async def get(self, manifest: str, index: int) -> str:
        """Raises NotFound, StorageError for a file that is no manifest, Unavailable where it cannot be read: that may
        pass, as when too many files are open."""
        if not _NAME.fullmatch(manifest):
            raise NotFound(no_manifest(manifest))
        path = self._root / manifest
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return read_item(file, manifest, index)
            finally:
                os.close(file)
        except FileNotFoundError:
            raise NotFound(no_manifest(manifest)) from None
        except OSError as error:
            msg = f"manifest {path} cannot be read: {os.strerror(error.errno or 0)}"
            raise Unavailable(msg) from error
        except (ValueError, RecursionError, struct.error) as error:
            msg = f"manifest {path} is damaged"
            raise StorageError(msg) from error


def no_manifest(name: str) -> str:
    return f"no manifest {name[:80]!r}"


def read_item(file: int, manifest: str, index: int) -> str:
    """Raises NotFound, OSError, and ValueError, RecursionError or struct.error for what is no manifest."""
    trailer_at = os.fstat(file).st_size - _TRAILER.size
    count, magic = _TRAILER.unpack(os.pread(file, _TRAILER.size, max(0, trailer_at)))
    spans_at = trailer_at - 8 * (count + 1)
    if magic != _MAGIC or spans_at < 0:
        msg = "no manifest's end"
        raise ValueError(msg)
    if not 0 <= index < count:
        msg = f"no item {index} in manifest {manifest}: it has {count}"
        raise NotFound(msg)
    begin, end = _SPAN.unpack(os.pread(file, _SPAN.size, spans_at + 8 * index))
    if not begin < end <= spans_at:
        msg = f"item {index} is not in the file"
        raise ValueError(msg)
    item = json.loads(os.pread(file, end - begin, begin))
    if not isinstance(item, str):
        msg = f"item {index} is no text"
        raise ValueError(msg)
    return item


async def batches(items: Sequence[str] | AsyncIterator[str]) -> AsyncIterator[Sequence[str]]:
    if not isinstance(items, AsyncIterator):
        for start in range(0, len(items), BATCH):
            yield items[start : start + BATCH]
        return
    batch: list[str] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


class _Draft:
    """A manifest being written, under a name of its own until it is whole. Equal ones become one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / f".{secrets.token_hex(8)}.draft"
        self._file: int | None = None
        self._digest = hashlib.sha256()
        self._offsets = array.array("Q", [0])

    def open(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def add(self, items: Sequence[str]) -> None:
        lines = []
        end = self._offsets[-1]
        for item in items:
            if size(item) > LARGEST_ITEM:
                msg = f"item {len(self._offsets) - 1} is larger than {LARGEST_ITEM} bytes"
                raise BadInput(msg)
            line = json.dumps(item).encode("ascii") + b"\n"
            lines.append(line)
            end += len(line)
            self._offsets.append(end)
        content = b"".join(lines)
        self._digest.update(content)
        self._write(content)

    def publish(self) -> str:
        assert self._file is not None
        count = len(self._offsets) - 1
        if sys.byteorder == "big":
            self._offsets.byteswap()
        self._write(self._offsets.tobytes() + _TRAILER.pack(count, _MAGIC))
        os.fsync(self._file)
        name = self._digest.hexdigest()
        os.replace(self._path, self._root / name)
        sync_directory(self._root)
        return name

    def discard(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._path.unlink(missing_ok=True)

    def _write(self, content: bytes) -> None:
        assert self._file is not None
        view = memoryview(content)
        while view:
            view = view[os.write(self._file, view) :]


def size(item: str) -> int:
    """Bytes in UTF-8."""
    return len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))


def sync_directory(path: Path) -> None:
    """Make a rename in it last through a power cut."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
