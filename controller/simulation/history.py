"""What happened, in the order in which it did: what a checker reads, and what a failing run prints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`at`: virtual seconds since the world began. `what`: one of the words in `World`'s description of its history.
    `subject`: what it happened to, a task `JOB/INDEX`, an instance, a group; `by`: the process or machine that did it.
    """

    at: float
    what: str
    subject: str
    by: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        more = "".join(f" {name}={_shown(value)}" for name, value in self.more.items())
        by = f" by {self.by}" if self.by else ""
        return f"{self.at:10.3f}  {self.what:<18} {self.subject}{by}{more}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) and value.isprintable() and " " not in value else json.dumps(value)


class History:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, what: str, subject: object, by: str = "", **more: Any) -> None:
        at = asyncio.get_running_loop().time()
        self.events.append(Event(at, what, str(subject), by, more))

    def of(self, *what: str, subject: str | None = None) -> Iterator[Event]:
        return (
            event
            for event in self.events
            if event.what in what and (subject is None or event.subject == subject)
        )

    def __str__(self) -> str:
        return "".join(f"{event}\n" for event in self.events)
