"""Words for error messages: outside text made safe to show, suggestions, lists of what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

MOST_SHOWN = 60
MOST_LISTED = 20
LARGEST_SHOWN = 10**18

Loc = tuple[str | int, ...]
"""The path of keys and list positions to a value."""


def shown(value: object) -> str:
    """A value from outside as one short printable piece of a line, whatever it is."""
    if isinstance(value, str):
        return repr(value if len(value) <= MOST_SHOWN else value[:MOST_SHOWN] + "…")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST_SHOWN):
        return repr(value)
    return kind_of(value)


def kind_of(value: object) -> str:
    """What sort of thing it is, without showing any of it: it may be a secret in the wrong place."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return shown(value)
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a value of type {type(value).__name__}"


def printable(text: str) -> str:
    """`text` with everything escaped that could break a line or steer a terminal; no quotes around it."""
    return repr(text)[1:-1] if not text.isprintable() else text


def counted(count: int, noun: str, plural: str = "") -> str:
    """`plural`: where it is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def closest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that was probably meant, if one is near."""
    near = difflib.get_close_matches(word[:MOST_SHOWN].lower(), list(allowed), n=1)
    return near[0] if near else None


def choices(word: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'? allowed: x, y`, the question only where something is near."""
    words = [printable(word) for word in allowed]
    near = closest(word, words)
    listed = ", ".join(words[:MOST_LISTED]) + (", …" if len(words) > MOST_LISTED else "")
    return (f"did you mean {shown(near)}? " if near else "") + f"allowed: {listed or 'none'}"


def dotted(loc: Loc) -> str:
    """`retries.rules[0].then`"""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{_key(part)}"
    return path


def _key(part: str) -> str:
    short = part if len(part) <= 64 else part[:64] + "…"
    return printable(short)
