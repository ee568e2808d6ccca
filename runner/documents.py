"""YAML documents from outside: one mapping a file, read safely, with the line of every key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from runner.errors import BadInput, Place
from runner.wording import Loc, dotted, printable, shown
from runner.yaml_reader import Reader

MAX_BYTES = 1024**2
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping read from a file; `lines` count from 1."""

    data: Mapping[str, object]
    file: str
    lines: Mapping[Loc, int]

    def place(self, loc: Loc) -> Place:
        """Where `loc` stands, or what it should stand in."""
        known = next((loc[:end] for end in range(len(loc), 0, -1) if loc[:end] in self.lines), None)
        return Place(self.file, self.lines[known] if known else None, dotted(loc) or None)


def resolved(base: Path, text: str) -> Path:
    """A path written in a file or a flag: relative to `base`; `~/` is the user's home."""
    path = Path.home() / text[2:] if text.startswith("~/") else Path(text)
    return base / path


def load(path: Path, called: Path | None = None) -> Document:
    """Read one YAML mapping of at most 1 MiB. Raises BadInput, naming `called`: the path as it was given."""
    file = printable(str(called or path))
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or 'not a usable path'}"
        raise BadInput(problem, Place(file)) from None
    if len(content) > MAX_BYTES:
        problem = (
            f"larger than {MAX_BYTES:,} bytes; put long lists of lines or items into a file of their own"
        )
        raise BadInput(problem, Place(file))
    return parse(content, file)


def parse(content: bytes, file: str) -> Document:
    """One YAML mapping. Raises BadInput."""
    text = _decoded(content, file)
    reader = Reader(file)
    try:
        value = reader.document(yaml.parse(text, Loader=LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"not YAML: {printable(str(error.problem or error.context))}"
        raise BadInput(problem, Place(file, mark.line + 1 if mark else None)) from None
    except yaml.YAMLError:
        problem = "not YAML"
        raise BadInput(problem, Place(file)) from None
    if not isinstance(value, dict):
        problem = "empty" if value is None else "must be a mapping of keys to values"
        raise BadInput(problem, Place(file))
    return Document(value, file, reader.lines)


def _decoded(content: bytes, file: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = "not UTF-8 text"
        raise BadInput(problem, Place(file, line)) from None
    if illegal := ILLEGAL.search(text):
        problem = f"the character {shown(illegal[0])} is not allowed in YAML"
        raise BadInput(problem, Place(file, text.count("\n", 0, illegal.start()) + 1))
    return text
