"""The lines and items an array is made of: checked when the job is drafted, streamed when it is submitted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any, BinaryIO, NoReturn

from runner.array import MAX_ARRAY
from runner.errors import BadInput, Place
from runner.schema import as_text
from runner.yaml_reader import SourceFloat

MAX_ITEM = 30 * 1024
MAX_LINE = 6 * MAX_ITEM + 2  # in JSON, six bytes may stand for one
BATCH = 1000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Decode = Callable[[str], str]
"""One line of a file as an item. Raises BadInput without a place."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Items that are all in memory."""

    texts: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.texts)

    def content(self) -> Sequence[str]:
        return self.texts


@dataclass(frozen=True, slots=True)
class Streamed:
    """One item a line of a file, read again when it is stored: a million lines need no memory in between."""

    file: str
    count: int
    digest: bytes = field(repr=False)
    opened: Callable[[], BinaryIO] = field(repr=False, compare=False)
    decode: Decode = field(repr=False, compare=False)

    async def content(self) -> AsyncIterator[str]:
        """Every item. Raises BadInput at the end if the file is not what was checked."""
        digest = blake2b(digest_size=16)
        walk = walked(self.opened, self.file, self.decode)
        while batch := await asyncio.to_thread(list, islice(walk, BATCH)):
            for item in batch:
                digest.update(item.encode() + b"\0")
                yield item
        if digest.digest() != self.digest:
            problem = "changed while it was read; submit again"
            raise BadInput(problem, Place(self.file))


Items = Listed | Streamed


def walked(opened: Callable[[], BinaryIO], file: str, decode: Decode) -> Iterator[str]:
    """The items of a file, in order, each checked. Raises BadInput with the line."""
    with opened() as stream:
        number = 0
        while raw := stream.readline(MAX_LINE + 1):
            number += 1
            if number > MAX_ARRAY:
                _refuse(f"more than {MAX_ARRAY:,} lines", Place(file))
            try:
                item = decode(_line(raw, first=number == 1))
                check_item(item)
            except BadInput as error:
                raise BadInput(error.problem, Place(file, number)) from None
            yield item


def scanned(opened: Callable[[], BinaryIO], file: str, decode: Decode, *, allow_duplicates: bool) -> Streamed:
    """Check all of a file, and remember what it was. Memory: a number for each line."""
    digest, seen, count = blake2b(digest_size=16), set[int](), 0
    for item in walked(opened, file, decode):
        count += 1
        digest.update(item.encode() + b"\0")
        if not allow_duplicates:
            if hash(item) in seen:
                _refuse_repeated(item, count, walked(opened, file, decode), file)
            seen.add(hash(item))
    if not count:
        _refuse("empty; an array has at least 1 shard", Place(file))
    return Streamed(file, count, digest.digest(), opened, decode)


def listed(
    values: Iterable[object], place: Callable[[int | None], Place], *, allow_duplicates: bool
) -> Listed:
    """Check items that are in memory. `place` of None is that of them all."""
    first: dict[str, int] = {}
    texts = []
    for position, value in enumerate(values):
        try:
            text = item_text(value)
            check_item(text)
        except BadInput as error:
            raise BadInput(error.problem, place(position)) from None
        if first.setdefault(text, position) != position and not allow_duplicates:
            earlier = place(first[text])
            _refuse(f"the same item as at {earlier}; duplicates need allow_duplicates", place(position))
        texts.append(text)
    if not 1 <= len(texts) <= MAX_ARRAY:
        _refuse(f"an array has 1 to {MAX_ARRAY:,} shards, not {len(texts):,}", place(None))
    return Listed(tuple(texts))


def item_text(value: object) -> str:
    """What a shard sees of an item: text as it is, a number as it was written, anything else as JSON."""
    if isinstance(value, str | SourceFloat):
        return as_text(value)
    try:
        return ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError):
        problem = "cannot be written as JSON"
        raise BadInput(problem) from None


def json_value(text: str) -> Any:
    """Raises BadInput for what is not JSON, and for what JSON leaves open: equal keys, NaN."""
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        problem = f"not JSON: {error.msg} at {at}"
    except RecursionError:
        problem = "not JSON: nested too deeply"
    except ValueError as error:
        problem = f"not JSON: {error}"
    raise BadInput(problem)


def check_item(item: str) -> None:
    """Whether it fits into a variable. Raises BadInput."""
    if not item:
        _refuse("an empty item", Place())
    as_text(item)
    if len(item) > MAX_ITEM // 4 and (size := len(item.encode())) > MAX_ITEM:
        _refuse(f"an item of {size:,} bytes; at most {MAX_ITEM:,}", Place())


def _line(raw: bytes, *, first: bool) -> str:
    if len(raw) > MAX_LINE:
        _refuse(f"a line of more than {MAX_LINE:,} bytes", Place())
    if first:
        raw = raw.removeprefix(BYTE_ORDER_MARK)
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
        raise BadInput(problem) from None


def _refuse_repeated(item: str, number: int, again: Iterator[str], file: str) -> None:
    """Unless two different items only have the same hash."""
    for earlier, other in enumerate(islice(again, number - 1), start=1):
        if other == item:
            _refuse(f"the same as line {earlier}; duplicates need allow_duplicates", Place(file, number))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        problem = "a key stands twice in one object"
        raise ValueError(problem)
    return found


def _no_constant(_: str) -> NoReturn:
    problem = "NaN and Infinity are not numbers of JSON"
    raise ValueError(problem)


def _refuse(problem: str, place: Place) -> NoReturn:
    raise BadInput(problem, place)


# Made once: making one for each of a million lines takes three times as long as reading them.
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant)
