"""YAML to plain values, from the parser's events.

The parser's own loader is not used, because what it does by itself bites: `no` becomes False, `1:30` becomes
90, `010` becomes 8, of two equal keys the last one wins, a kilobyte of aliases grows into gigabytes, and deep
nesting takes quadratic time before it fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import yaml

from runner.errors import BadInput, Place
from runner.wording import Loc, dotted, shown

MAX_DEPTH = 32
MAX_VALUES = 200_000  # every alias counted with all that it stands for

INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,30}(?:[eE][-+]?[0-9]{1,3})?")
CONSTANTS: Mapping[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


class SourceFloat(float):
    """A number that remembers how it was written: as text, `1.10` is not `1.1`."""

    text: str

    def __new__(cls, text: str) -> SourceFloat:
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: object
    size: int
    height: int


class Reader:
    """Reads one document, once; `lines` then holds where every key and list entry stands."""

    def __init__(self, file: str) -> None:
        self.lines: dict[Loc, int] = {}
        self._file = file
        self._anchors: dict[str, _Anchored] = {}
        self._count = 0
        self._deepest = 0

    def document(self, events: Iterator[yaml.Event]) -> object:
        self._events = events
        next(events)  # the stream's start
        if isinstance(next(events), yaml.StreamEndEvent):
            return None
        value = self._value(next(events), (), 1)
        next(events)  # the document's end
        following = next(events)
        if not isinstance(following, yaml.StreamEndEvent):
            self._refuse("more than one document; a file holds one", following)
        return value

    def _value(self, event: yaml.Event, loc: Loc, depth: int) -> object:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        assert isinstance(event, yaml.NodeEvent)
        before, outer = self._count, self._deepest
        self._deepest = depth
        self._grow(1, depth, event)
        value = self._built(event, loc, depth)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, self._count - before, self._deepest - depth)
        self._deepest = max(outer, self._deepest)
        return value

    def _built(self, event: yaml.NodeEvent, loc: Loc, depth: int) -> object:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        assert isinstance(event, yaml.CollectionStartEvent)
        if event.tag is not None:
            self._refuse(f"the tag {shown(event.tag)} is not supported", event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(loc, depth)
        return self._mapping(loc, depth)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> object:
        anchored = self._anchors.get(name := str(event.anchor))
        if anchored is None:
            self._refuse(f"the alias {shown('*' + name)} has no anchor before it", event)
        self._grow(anchored.size, depth + anchored.height, event)
        self._deepest = max(self._deepest, depth + anchored.height)
        return anchored.value

    def _grow(self, values: int, depth: int, event: yaml.Event) -> None:
        self._count += values
        if self._count > MAX_VALUES:
            self._refuse(f"more than {MAX_VALUES:,} values, aliases written out", event)
        if depth > MAX_DEPTH:
            self._refuse(f"nested more than {MAX_DEPTH} levels deep", event)

    def _sequence(self, loc: Loc, depth: int) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*loc, len(found))
            self.lines[here] = _line(event)
            found.append(self._value(event, here, depth + 1))
        return found

    def _mapping(self, loc: Loc, depth: int) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse("a key must be plain text", event)
            here = (*loc, event.value)
            if event.value == "<<" and event.implicit[0]:
                merged |= self._merge(next(self._events), loc, depth)
                continue
            if event.value in own:
                first = self.lines[here]
                self._refuse(f"the key stands twice; first on line {first}", event, here)
            self.lines[here] = _line(event)
            own[event.value] = self._value(next(self._events), here, depth + 1)
        return {**merged, **own}

    def _merge(self, event: yaml.Event, loc: Loc, depth: int) -> dict[str, object]:
        value = self._value(event, (*loc, "<<"), depth + 1)
        sources = value if isinstance(value, list) else [value]
        merged: dict[str, object] = {}
        for source in reversed(sources):
            if not isinstance(source, dict):
                self._refuse("<< takes a mapping, or a list of them", event)
            merged |= source
        for key in merged:
            self.lines.setdefault((*loc, key), _line(event))
        return merged

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        if event.tag in TEXT_TAGS or (event.tag is None and not event.implicit[0]):
            return text
        if event.tag is not None:
            self._refuse(f"the tag {shown(event.tag)} is not supported", event)
        if text in CONSTANTS:
            return CONSTANTS[text]
        if INTEGER.fullmatch(text):
            return int(text)
        return SourceFloat(text) if DECIMAL.fullmatch(text) else text

    def _refuse(self, problem: str, event: yaml.Event, loc: Loc = ()) -> NoReturn:
        raise BadInput(problem, Place(self._file, _line(event), dotted(loc) or None))


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark else 1
