"""One SubmitJob of ours: which tasks it is for, and after what. Written into the Batch job, and read back from it.

So whoever supervises next, knowing nothing, finds in AWS Batch what was handed over. Pure.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from runner.arrays import format_indices, parse_indices
from runner.aws import Reply
from runner.errors import BadInput
from runner.model import Job

LARGEST_ARRAY = 10_000
LONGEST_NAME = 128

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Lot:
    """What tasks have in common that are handed over together. `after`: the number of the ledger's attempt before, so
    that the Batch job's attempts are those with the numbers after + 1, after + 2 …; `tries`: of this round before."""

    after: int
    tries: int
    memory: int
    user_failures: int = 0
    infra_failures: int = 0


@dataclass(frozen=True)
class Submission:
    """`indices` ascend; a task's place among them is the Batch array's index."""

    job_id: str
    round: int
    lot: Lot
    indices: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.indices)

    @property
    def rank(self) -> tuple[int, int]:
        """Of two for the same task, the higher is the valid one."""
        return self.round, self.lot.after

    @cached_property
    def shards(self) -> str:
        return format_indices(spans_of(self.indices))

    def reaches(self, first: int, last: int) -> bool:
        """Whether it may be for tasks from `first` to `last`."""
        return self.indices[0] <= last and first <= self.indices[-1]

    def place(self, index: int) -> int | None:
        """Where the index is among its own; None if it is not."""
        if not self.reaches(index, index):
            return None
        at = bisect_left(self.indices, index)
        return at if self.indices[at] == index else None

    def native(self, job: Job) -> bool:
        """Whether AWS Batch itself tells every task all that it must: the whole array, from 0, tried the first time,
        and no empty variables."""
        array = job.array
        whole = 2 <= array.total <= LARGEST_ARRAY and array.spans == (range(array.total),)
        untold = array.manifest is not None or self.lot.tries > 0 or not all(job.env.values())
        return whole and self.size == array.total and not untold

    def parameters(self) -> dict[str, str]:
        lot = self.lot
        numbers = (self.round, lot.after, lot.tries, lot.memory, lot.user_failures, lot.infra_failures)
        return {
            "runner_job": self.job_id,
            "runner_numbers": " ".join(map(str, numbers)),
            "runner_shards": self.shards,
        }


def submission_in(detail: Reply) -> Submission | None:
    """Of a Batch job as DescribeJobs has it; None for one that is not ours."""
    given = detail.get("parameters") or {}
    try:
        round_, *numbers = map(int, given["runner_numbers"].split())
        spans = parse_indices(given["runner_shards"])
        return Submission(
            given["runner_job"], round_, Lot(*numbers), tuple(i for span in spans for i in span)
        )
    except (KeyError, ValueError, TypeError, BadInput):
        return None


def name_prefix(installation: str, job_id: str) -> str:
    """The names of all of a job's Batch jobs begin with it, though others' may as well."""
    if _NAME.fullmatch(job_id):
        return f"{installation}-{job_id}-"
    digest = hashlib.sha256(job_id.encode()).hexdigest()[:16]
    return f"{installation}-x{digest}-"


def name_of(installation: str, submission: Submission) -> str:
    prefix = name_prefix(installation, submission.job_id)
    return f"{prefix}{submission.round}-{submission.indices[0]}"[:LONGEST_NAME]


def spans_of(indices: Sequence[int]) -> list[range]:
    """Ascending indices as few ranges of neighbours."""
    spans: list[range] = []
    for index in indices:
        if spans and index == spans[-1].stop:
            spans[-1] = range(spans[-1].start, index + 1)
        else:
            spans.append(range(index, index + 1))
    return spans
