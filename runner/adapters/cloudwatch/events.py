"""A piece of a task's output as an event of CloudWatch Logs, and back.

An event is a line of JSON in ASCII: which attempt, from which byte of its output, and the text, bytes that are no
UTF-8 as lone surrogates. So an event holds nothing that the service refuses, loses nothing, can be put in its place
whatever order it comes in or however often, and has fields that Logs Insights finds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What the service allows a batch, and counts for an event on top of its message.
MOST_BYTES = 1_048_576
MOST_EVENTS = 10_000
OVERHEAD = 26

# A byte becomes at most six characters of JSON: with the other fields this stays below the 256 KB of an event that the
# service used to allow (1 MB now).
LONGEST = 32 * 1024

# An event of its own for each short line costs several times what is in it, in money and in time. From so many lines
# at once on, an event is up to so many bytes of whole lines.
MANY = 200
TOGETHER = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


def message_of(attempt: str, piece: Piece) -> str:
    text = piece.data.decode("utf-8", "surrogateescape")
    return json.dumps({"attempt": attempt, "offset": piece.offset, "text": text})


def piece_of(message: str, attempt: str) -> Piece | None:
    """None for anything but a piece of this attempt's output: anybody may write to a log group."""
    try:
        found: Any = json.loads(message)
        if found["attempt"] != attempt or type(found["offset"]) is not int:
            return None
        return Piece(found["offset"], found["text"].encode("utf-8", "surrogateescape"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def pieces(data: bytes, offset: int) -> Iterator[Piece]:
    """By line, long lines cut; where there are very many, several lines together."""
    together = TOGETHER if data.count(b"\n") > MANY else 0
    at = 0
    while at < len(data):
        end = _end_of_piece(data, at, together)
        yield Piece(offset + at, data[at:end])
        at = end


def _end_of_piece(data: bytes, at: int, together: int) -> int:
    several = data.rfind(b"\n", at, at + together) + 1
    return several or data.find(b"\n", at, at + LONGEST) + 1 or min(at + LONGEST, len(data))


class Batch:
    """Events of one time, as many as one request takes. `at` is epoch seconds."""

    def __init__(self, at: float) -> None:
        self._at = round(at * 1000)
        self._room = MOST_BYTES
        self.events: list[dict[str, Any]] = []
        self.full = False

    def add(self, message: str) -> bool:
        """False if there was no room for it; then there is none for others, either."""
        self._room -= len(message) + OVERHEAD
        self.full = self.full or self._room < 0 or len(self.events) == MOST_EVENTS
        if not self.full:
            self.events.append({"timestamp": self._at, "message": message})
        return not self.full


def stream_of(owner: str) -> str:
    """The log stream of the host of the agent `host#incarnation`.

    Not one per agent: a restarted one goes on with attempts whose records still name the first, where readers look.
    """
    host = owner.partition("#")[0]
    return host.replace(":", "_").replace("*", "_")[:512]
