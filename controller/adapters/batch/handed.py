"""What was handed over to AWS Batch, and what is still to be handed over, of one job. Kept in memory only.

All of it can be found again: the submissions in AWS Batch, the tasks in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.adapters.batch.details import OVER, BatchJob
from controller.adapters.batch.submissions import Lot, Submission
from runner.model import Attempt, Outcome
from runner.records import Verdict

WAITING, RUNNING, DONE = range(3)


class Judged(NamedTuple):
    """How the attempt of that owner ended, and what that makes of its task."""

    owner: str
    outcome: Outcome
    verdict: Verdict


@dataclass(eq=False)
class Handed:
    """One submission that AWS Batch took, as `batch_id`. By place: `states`; `attempts` that run; `judged`: what was
    made of an attempt that is not recorded yet, so that it is recorded no other way the second time; `recorded`: how
    many of its attempts are. `counts`: what the parent said when all of it had been looked at. `stopping`: why it was
    terminated, if it was.
    """

    batch_id: str
    submission: Submission
    created_at: float
    states: bytearray = field(init=False)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    judged: dict[int, Judged] = field(default_factory=dict)
    recorded: dict[int, int] = field(default_factory=dict)
    counts: Mapping[str, int] | None = None
    over: bool = False
    stopping: str = ""

    def __post_init__(self) -> None:
        self.states = bytearray(self.submission.size)

    @property
    def done(self) -> bool:
        """Nothing of it is left to be recorded."""
        return self.states.count(DONE) == len(self.states)

    def child_id(self, place: int) -> str:
        return self.batch_id if self.submission.size == 1 else f"{self.batch_id}:{place}"

    def owner(self, place: int, attempt: int) -> str:
        """Who holds the task, for the ledger: the Batch job, and which of its attempts."""
        return f"{self.child_id(place)}#{attempt}"

    def places(self, state: int) -> list[int]:
        return [place for place, each in enumerate(self.states) if each == state]

    def serves(self, index: int) -> bool:
        """Whether the task can still come of it."""
        place = self.submission.place(index)
        return place is not None and self.states[place] != DONE

    def begun(self, place: int) -> bool:
        """Whether the ledger has an attempt of its, as far as is known here."""
        return place in self.attempts or place in self.recorded

    def moved_on(self, job: BatchJob) -> bool:
        """Whether there may be anything to look at since the last time."""
        return job.over or job.counts is None or job.counts != self.counts

    def ended_by(self, job: BatchJob) -> int:
        return sum((job.counts or {}).get(status, 0) for status in OVER)


@dataclass(frozen=True, slots=True)
class Due:
    """A task that is to be handed over, from `at` on. `doubtful`: it may have been already, unknown to us."""

    lot: Lot
    at: float
    doubtful: bool = False


@dataclass(eq=False)
class JobState:
    """`due` by index. `known`: AWS Batch was asked what it has. `scanned`: the ledger's tasks were compared with that.
    `round`: of which round all this is. `short_since`: since when the ledger counts more tasks as sent than are here.
    `refused_since`: since when AWS Batch takes nothing that it is given; None, if it took the last.
    """

    handed: list[Handed] = field(default_factory=list)
    due: dict[int, Due] = field(default_factory=dict)
    known: bool = False
    scanned: bool = False
    round: int = 1
    short_since: float | None = None
    refused_since: float | None = None

    @property
    def served(self) -> int:
        """Tasks that are here and have not come to their end."""
        return len(self.due) + sum(len(each.states) - each.states.count(DONE) for each in self.handed)

    def turn(self, round_: int) -> None:
        """A new round opens tasks again that may be due here already: what else is due is found again."""
        if round_ != self.round:
            self.round, self.scanned, self.refused_since = round_, False, None
            self.due.clear()

    def near(self, first: int, last: int) -> Sequence[Handed]:
        """All in which tasks from `first` to `last` may be: the others need not be asked for each of them."""
        return [each for each in self.handed if each.submission.reaches(first, last)]

    def superseded(self, handed: Handed) -> bool:
        """Whether none of its tasks belongs to it any more."""
        indices = handed.submission.indices
        near = self.near(indices[0], indices[-1])
        return len(near) > 1 and all(valid(index, near) is not handed for index in indices)

    def unserved(self, indices: Sequence[int]) -> list[int]:
        """Those, of indices that ascend, for which nothing was handed over of which the task can still come."""
        near = self.near(indices[0], indices[-1]) if indices else ()
        return [index for index in indices if not any(each.serves(index) for each in near)]

    def adopt(self, found: Sequence[Handed]) -> None:
        known = {each.batch_id for each in self.handed}
        self.handed += [each for each in found if each.batch_id not in known]
        self.handed.sort(key=lambda each: (each.created_at, each.batch_id))

    def open(self) -> Iterator[Handed]:
        return (each for each in self.handed if not each.done)


def valid(index: int, near: Sequence[Handed]) -> Handed | None:
    """The submission that the task belongs to: the latest round's, after the most attempts; of equals the one that has
    begun, or else the oldest, for that may have."""
    found = [each for each in near if each.submission.place(index) is not None]
    if len(found) == 1:
        return found[0]
    return max(found, key=lambda each: _validity(each, index), default=None)


def _validity(handed: Handed, index: int) -> tuple[tuple[int, int], bool, float]:
    place = handed.submission.place(index)
    return handed.submission.rank, place is not None and handed.begun(place), -handed.created_at
