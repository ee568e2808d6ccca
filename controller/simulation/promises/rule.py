"""What a rule is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.simulation.history import Event
from runner.model import Status
from runner.records import JobRecord, TaskRecord


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What the ledger has of a job in the end."""

    record: JobRecord
    tasks: Mapping[int, TaskRecord]


@dataclass(frozen=True, slots=True)
class End:
    """What is left once the faults are over. `unfinished`: jobs that had not ended in the time they had; `machines`:
    instances beyond the minimum that had not gone in the time they had, or their groups."""

    at: float
    jobs: Mapping[str, JobEnd]
    unfinished: Sequence[str] = ()
    machines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What was set. `lease` in seconds; `dead_letters`: the name of the queue; `lag`: by how many seconds the queues'
    counts may be late."""

    lease: float
    dead_letters: str
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Violation:
    """`promise`: by its number in the design; 0: one that all of them need. `events`: those that show it."""

    promise: int
    subject: str
    at: float
    problem: str
    events: Sequence[Event] = ()

    def __str__(self) -> str:
        which = f"promise {self.promise}" if self.promise else "what all promises need"
        lines = [f"{self.at:10.3f}  {which}: {self.subject}: {self.problem}", *map(str, self.events)]
        return "\n    ".join(lines)


See = Callable[[Event], None]


@dataclass
class Rule:
    """Sees all events in their order, then the end. `handlers`: by an event's word, who sees to it."""

    terms: Terms
    violations: list[Violation] = field(default_factory=list)

    @property
    def handlers(self) -> Mapping[str, See]:
        return {}

    def end(self, end: End) -> None:
        """Once the history is over."""

    def broken(self, promise: int, subject: str, problem: str, *events: Event) -> None:
        at = events[-1].at if events else 0.0
        self.violations.append(Violation(promise, subject, at, problem, events))


TERMINAL = frozenset(str(status) for status in Status if status.terminal)


def job_of(task: str) -> str:
    return task.rpartition("/")[0]


def machine_of(process: str) -> str:
    """An agent's machine; of others the name."""
    return process.partition("/")[0]
