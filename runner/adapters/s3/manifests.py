"""Lines and items of arrays in S3, under names made of their content.

A block holds the items one after the other, each as a line of JSON, and is named by the SHA-256 of its bytes. The
manifest itself only lists its blocks and how many items each has; its name is the SHA-256 of all lines. So whatever is
there is whole, the same items submitted again are the same objects, and an item is found with two requests, both of
which serve the tasks that follow as well: `docs/logs.md` has the figures.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from runner.adapters.s3.objects import Bucket
from runner.aws import Aws
from runner.errors import BadInput, NotFound, StorageError

PREFIX = "manifests/"
LARGEST_ITEM = 64 * 1024
BLOCK = 4 * 1024 * 1024
MOST_IN_BLOCK = 50_000
VERSION = 1

# What an agent keeps, in bytes of blocks: as they are, and what Python needs for their lines comes on top.
CACHE = 32 * 1024 * 1024
INDICES = 64

_NAME = re.compile(r"[0-9a-f]{64}")


class S3Manifests:
    """Implements `runner.ports.Manifests`."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._bucket = Bucket(aws, bucket)
        self._indices: OrderedDict[str, _Index] = OrderedDict()
        self._blocks = _Blocks(CACHE)
        # One fetches, the others find it there: tasks of one job begin together.
        self._fetching = asyncio.Lock()

    async def put(self, items: Sequence[str] | AsyncIterator[str]) -> str:
        """Raises BadInput for an item that is too large, AwsError where S3 does not take it."""
        digest = hashlib.sha256()
        blocks: list[tuple[str, int]] = []
        async for lines in _in_blocks(items):
            content = b"".join(lines)
            digest.update(content)
            name = hashlib.sha256(content).hexdigest()
            await self._bucket.put(_block_key(name), content)
            blocks.append((name, len(lines)))
        name = digest.hexdigest()
        index = json.dumps({"v": VERSION, "blocks": blocks}).encode()
        # Last, so that what is listed is there.
        await self._bucket.put(PREFIX + name, index)
        return name

    async def get(self, manifest: str, index: int) -> str:
        """Raises NotFound, StorageError for what is damaged, AwsError."""
        if not _NAME.fullmatch(manifest):
            msg = f"no manifest {manifest[:80]!r}"
            raise NotFound(msg)
        found = await self._index(manifest)
        if not 0 <= index < found.count:
            msg = f"no item {index} in manifest {manifest}: it has {found.count}"
            raise NotFound(msg)
        block, position = found.locate(index)
        lines = await self._block(manifest, block)
        try:
            item: str = json.loads(lines[position])
        except (IndexError, ValueError) as error:
            raise self._damaged(manifest) from error
        return item

    async def _index(self, manifest: str) -> _Index:
        async with self._fetching:
            if manifest not in self._indices:
                content = await self._bucket.get(PREFIX + manifest)
                if content is None:
                    msg = f"no manifest {manifest} in {self._bucket.url(PREFIX)}"
                    raise NotFound(msg)
                try:
                    self._indices[manifest] = _Index.parse(content)
                except (ValueError, KeyError, TypeError) as error:
                    raise self._damaged(manifest) from error
                if len(self._indices) > INDICES:
                    self._indices.popitem(last=False)
            return self._indices[manifest]

    async def _block(self, manifest: str, name: str) -> Sequence[bytes]:
        async with self._fetching:
            lines = self._blocks.get(name)
            if lines is None:
                content = await self._bucket.get(_block_key(name))
                if content is None or hashlib.sha256(content).hexdigest() != name:
                    raise self._damaged(manifest)
                lines = self._blocks.put(name, content)
            return lines

    def _damaged(self, manifest: str) -> StorageError:
        return StorageError(f"manifest {self._bucket.url(PREFIX + manifest)} is damaged")


@dataclass(frozen=True, slots=True)
class _Index:
    """`ends[n]` is how many items the blocks up to the n-th have together."""

    names: tuple[str, ...]
    ends: tuple[int, ...]

    @classmethod
    def parse(cls, content: bytes) -> _Index:
        """Raises ValueError, KeyError or TypeError for what is no index."""
        data = json.loads(content)
        names = tuple(str(name) for name, _ in data["blocks"])
        if data["v"] != VERSION or not all(map(_NAME.fullmatch, names)):
            msg = "not an index of this version"
            raise ValueError(msg)
        return cls(names, tuple(accumulate(int(count) for _, count in data["blocks"])))

    @property
    def count(self) -> int:
        return self.ends[-1] if self.ends else 0

    def locate(self, index: int) -> tuple[str, int]:
        """Which block it is in, and where there."""
        at = bisect_right(self.ends, index)
        return self.names[at], index - (self.ends[at - 1] if at else 0)


class _Blocks:
    """The blocks used last, by name; of `limit` bytes together, or one larger."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[int, list[bytes]]] = OrderedDict()

    def get(self, name: str) -> Sequence[bytes] | None:
        if name not in self._kept:
            return None
        self._kept.move_to_end(name)
        return self._kept[name][1]

    def put(self, name: str, content: bytes) -> Sequence[bytes]:
        lines = content.splitlines()
        self._kept[name] = (len(content), lines)
        self._size += len(content)
        while self._size > self._limit and len(self._kept) > 1:
            _, (size, _) = self._kept.popitem(last=False)
            self._size -= size
        return lines


async def _in_blocks(items: Sequence[str] | AsyncIterator[str]) -> AsyncIterator[list[bytes]]:
    """The items as lines, those of one block together."""
    block: list[bytes] = []
    size = number = 0
    async for item in _each(items):
        line = _line(number, item)
        if block and (size + len(line) > BLOCK or len(block) == MOST_IN_BLOCK):
            yield block
            block, size = [], 0
        block.append(line)
        size += len(line)
        number += 1
    if block:
        yield block


async def _each(items: Sequence[str] | AsyncIterator[str]) -> AsyncIterator[str]:
    if isinstance(items, AsyncIterator):
        async for item in items:
            yield item
        return
    given: Iterator[str] = iter(items)
    for item in given:
        yield item


def _line(number: int, item: str) -> bytes:
    size = len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
    if size > LARGEST_ITEM:
        msg = f"item {number} is larger than {LARGEST_ITEM} bytes"
        raise BadInput(msg)
    return json.dumps(item).encode("ascii") + b"\n"


def _block_key(name: str) -> str:
    return f"{PREFIX}blocks/{name}"
