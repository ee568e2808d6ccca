"""Where an array's lines and items come from: a file, standard input, a pipe."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from controller.items import (
    BYTE_ORDER_MARK,
    MAX_LINE,
    Items,
    Listed,
    Streamed,
    item_text,
    json_value,
    listed,
    scanned,
)
from runner.array import MAX_ARRAY
from runner.documents import resolved
from runner.errors import BadInput, Place, StorageError
from runner.wording import printable, shown

MAX_JSON_LIST = 64 * 1024**2
JSON_LINES = (".jsonl", ".ndjson")
STANDARD_INPUT = "-"


def lines_of(text: str, base: Path, place: Place, *, allow_duplicates: bool) -> Streamed:
    """One item a line. `text` is a path, or `-`; `place` is where it was given."""
    file, opened = _source(text, base, place)
    return scanned(opened, file, str, allow_duplicates=allow_duplicates)


def items_of(text: str, base: Path, place: Place, *, allow_duplicates: bool) -> Items:
    """A JSON list, or JSON lines: so by the file's name, or when it does not begin with `[`."""
    file, opened = _source(text, base, place)
    with opened() as stream:
        beginning = stream.read(4096).removeprefix(BYTE_ORDER_MARK).lstrip()
    if beginning.startswith(b"[") and not file.endswith(JSON_LINES):
        return _json_list(opened, file, allow_duplicates=allow_duplicates)
    return scanned(opened, file, _json_line, allow_duplicates=allow_duplicates)


def _json_line(line: str) -> str:
    return item_text(json_value(line)) if line else line


def _json_list(opened: Callable[[], BinaryIO], file: str, *, allow_duplicates: bool) -> Listed:
    with opened() as stream:
        content = stream.read(MAX_JSON_LIST + 1)
    if len(content) > MAX_JSON_LIST:
        problem = (
            f"larger than {MAX_JSON_LIST:,} bytes; write it as JSON lines, one item a line, named .jsonl"
        )
        raise BadInput(problem, Place(file))
    try:
        values = json_value(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
        raise BadInput(problem, Place(file)) from None
    except BadInput as error:
        problem = f"{error.problem}; JSON lines go into a file named .jsonl"
        raise BadInput(problem, Place(file)) from None

    def place(at: int | None) -> Place:
        return Place(file, key=None if at is None else f"[{at}]")

    return listed(values, place, allow_duplicates=allow_duplicates)


def _source(text: str, base: Path, place: Place) -> tuple[str, Callable[[], BinaryIO]]:
    """What to call it, and how to read it from the start, again and again."""
    if text == STANDARD_INPUT:
        return "standard input", _aside(sys.stdin.buffer)
    path = resolved(base, text)
    try:
        with path.open("rb") as stream:
            again = (lambda: path.open("rb")) if path.is_file() else _aside(stream)
    except OSError as error:
        problem = f"{shown(text)} cannot be read: {error.strerror}"
        raise BadInput(problem, place) from None
    here = Path.cwd()
    return printable(str(path.relative_to(here) if path.is_relative_to(here) else path)), again


def _aside(stream: BinaryIO) -> Callable[[], BinaryIO]:
    """Keep what can be read only once in a file that has no name and goes away by itself."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as `again`
    try:
        for _ in range(MAX_ARRAY + 1):
            raw = stream.readline(MAX_LINE + 1)
            spool.write(raw)
            if not raw or len(raw) > MAX_LINE:
                break
        # Too long for a line, it may yet be a list on one. The reader of either says what is too long.
        spool.write(stream.read(MAX_JSON_LIST))
        spool.flush()
    except OSError as error:
        problem = f"the lines cannot be kept aside in {tempfile.gettempdir()}: {error.strerror}"
        raise StorageError(problem) from None

    def again() -> BinaryIO:
        reader = os.fdopen(os.dup(spool.fileno()), "rb")
        reader.seek(0)
        return reader

    return again
