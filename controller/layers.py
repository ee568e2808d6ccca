"""A job file with flags laid over it, and where each value came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.notation import count_only, secret_flags, variable_flags
from runner.arrays import format_indices, parse_array
from runner.documents import Document, load
from runner.errors import BadInput, Place
from runner.wording import Loc, dotted

Label = Callable[[Loc], str]
"""What to call a value that stands in no file."""

MAPPINGS = ("env", "secrets", "retries")  # laid over key by key; everything else as a whole
MANY = (
    "env",
    "secrets",
    "after",
    "mounts",
    "sidecars",
    "command",
)  # never given and given empty are the same
ITEM_SOURCES = ("lines", "items", "items_file")
ADDITIONS = {"only", "allow_duplicates"}

FLAGS: Mapping[Loc, str] = {
    ("array", "indices"): "--array",
    ("array", "only"): "--array",
    ("array", "lines"): "--each-line",
    ("array", "items"): "--items",
    ("array", "items_file"): "--items",
    ("array", "allow_duplicates"): "--allow-duplicates",
    ("retries", "count"): "--retries",
    ("mounts",): "--mount",
    ("secrets",): "--secret",
    ("command",): "COMMAND",
}
ARGUMENTS: Mapping[Loc, str] = {
    ("array", "indices"): "array",
    ("array", "only"): "array",
    ("array", "lines"): "each_line",
    ("array", "items"): "items",
    ("array", "items_file"): "items",
    ("array", "allow_duplicates"): "allow_duplicates",
    ("retries", "count"): "retries",
}


def flag(loc: Loc) -> str:
    """As on the command line: `--max-parallel`, `--env NAME`."""
    name, rest = _named(loc, FLAGS)
    name = name or "--" + dotted(loc[:1]).replace("_", "-")
    return f"{name} {dotted(rest)}" if rest else name


def argument(loc: Loc) -> str:
    """As in a call from Python: `max_parallel`, `retries.backoff`."""
    name, rest = _named(loc, ARGUMENTS)
    return dotted((name, *rest)) if name else dotted(loc)


def _named(loc: Loc, names: Mapping[Loc, str]) -> tuple[str | None, Loc]:
    for length in (2, 1):
        if name := names.get(loc[:length]):
            return name, loc[length:]
    return None, loc[1:]


@dataclass(frozen=True, slots=True)
class Layers:
    """`given` holds the paths of what did not come from the document."""

    data: Mapping[str, object]
    document: Document | None
    directory: Path
    given: frozenset[Loc]
    cwd: Path
    label: Label

    def place(self, loc: Loc) -> Place:
        if self.document is None or self._given(loc):
            return Place(key=self.label(loc) if loc else None)
        return self.document.place(loc)

    def base(self, loc: Loc) -> Path:
        """What a relative path at `loc` is relative to: the job file's directory, else the current one."""
        return self.cwd if self._given(loc) else self.directory

    def _given(self, loc: Loc) -> bool:
        return any(loc[:length] in self.given for length in range(1, len(loc) + 1))


def laid_over(file: Path | None, overrides: Mapping[str, object], cwd: Path, label: Label) -> Layers:
    """Flags go before the file; None, and nothing where many may be given, is no flag. Raises BadInput."""
    document = load(cwd / file, called=file) if file else None
    data = dict(document.data) if document else {}
    given: set[Loc] = set()
    for key, value in _flags(overrides, data, label).items():
        own = data.get(key)
        if isinstance(own, dict) and isinstance(value, dict) and _adds(key, value):
            data[key] = {**own, **value}
            given |= {(key, name) for name in value}
        else:
            data[key] = value
            given.add((key,))
    directory = (cwd / file).parent if file else cwd
    return Layers(data, document, directory, frozenset(given), cwd, label)


def _adds(key: str, value: Mapping[str, object]) -> bool:
    return key in MAPPINGS or (key == "array" and value.keys() <= ADDITIONS)


def _flags(overrides: Mapping[str, object], data: Mapping[str, object], label: Label) -> dict[str, object]:
    flags = {key: _plain(value) for key, value in overrides.items() if value is not None}
    flags = {key: value for key, value in flags.items() if value or key not in MANY}
    if array := _array(flags, data.get("array"), label):
        flags["array"] = array
    if "retries" in flags and isinstance(data.get("retries"), dict):
        flags["retries"] = count_only(flags["retries"])
    for key, parse in (("env", variable_flags), ("secrets", secret_flags)):
        if key in flags:
            flags[key] = _placed(parse, flags[key], label((key,)))
    return flags


def _array(flags: dict[str, object], own: object, label: Label) -> dict[str, object]:
    """The flags about the array as one. Indices together with lines or items choose some of these."""
    array, lines, items, duplicates = (
        flags.pop(key, None) for key in ("array", "each_line", "items", "allow_duplicates")
    )
    found = {"lines": lines, "items_file" if isinstance(items, str) else "items": items}
    if isinstance(array, dict):
        found |= array
    elif array is not None:
        sources = own if isinstance(own, dict) and lines is None and items is None else found
        subset = any(sources.get(source) is not None for source in ITEM_SOURCES)
        found |= {"only": _placed(_subset, array, label(("array",)))} if subset else {"indices": array}
    if duplicates:
        found["allow_duplicates"] = duplicates
    return {key: value for key, value in found.items() if value is not None}


def _subset(array: object) -> object:
    return format_indices(parse_array(array).spans)


def _placed(parse: Callable[[object], object], value: object, name: str) -> object:
    try:
        return parse(value)
    except BadInput as error:
        raise BadInput(error.problem, Place(key=name)) from None


def _plain(value: object) -> object:
    """What a caller in Python may give, as a document would have it."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
