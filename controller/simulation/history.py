"""What happened, in the order in which it did: what a checker reads, and what a failing run prints.

What services did, as they saw it:

of a job        submitted · registered · released (it may run) · reopened (by `retry`) · ended (as a whole)
of a task       begun · recorded · annotated · counted-again (in another round) · rewritten (how an attempt ended is not
                what it was) · erased
of a message    sent · received · shown · deleted · reappears · expired · redriven · purged, by the task it points to
of an agent     beat: the attempts whose leases it renewed, and those that it names no more
of the leader   leads · published: its demand
of a group      desired
of an instance  launched · in-service · Terminating… · terminated

What machines and people did: `machine-gone`, `container-started`, `container-ended`, `swept`, `agent-…`,
`controller-…`, `fault`, `fault-over` and other mischief. What the product logs: `says`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`at`: virtual seconds since the world began. `what`: one of the words above.
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
