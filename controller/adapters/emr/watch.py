"""What is remembered of an attempt while it goes on. All of it can be found again; see `backend`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.adapters.emr.history import ASKED, CLUSTER
from controller.adapters.emr.names import Name
from controller.adapters.emr.outcomes import Stopped
from controller.adapters.emr.recording import round_in
from controller.adapters.managed.attempts import attempt_of
from runner.model import Attempt
from runner.records import JobRecord, TaskRecord

# A cluster or step that was asked for is not listed at once. So long, in seconds, it may be there without being seen.
SETTLED = 60.0


@dataclass(eq=False)
class Watch:
    """`cluster`: its id, once it is known. `asked_at`: when it, or the first step on another's cluster, was asked for,
    by our clock. `doubtful_since`: in the event loop's time, since when something may have been asked for, unknown to
    us; None: it was not. `added`: ids of steps on another's cluster by their position."""

    attempt: Attempt
    name: Name
    cluster: str = ""
    asked_at: float | None = None
    doubtful_since: float | None = None
    added: dict[int, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether what was asked for would be seen by now."""
        since = self.doubtful_since
        return since is None or asyncio.get_running_loop().time() - since >= SETTLED

    def doubt(self) -> None:
        self.doubtful_since = asyncio.get_running_loop().time()

    @property
    def notes(self) -> Mapping[str, str]:
        """For the ledger, so that whoever supervises next need not search."""
        asked = {} if self.asked_at is None else {ASKED: f"{self.asked_at:.3f}"}
        return {CLUSTER: self.cluster, **asked}

    def elapsed(self, now: float, created: float, began: float) -> float:
        """Seconds since it began: from creation to beginning by Amazon EMR's clock, all of it by ours. So it does not
        matter whether the two agree."""
        return now - (created if self.asked_at is None else self.asked_at) - (began - created)


def new_watch(installation: str, record: JobRecord, attempt: Attempt) -> Watch:
    """Of an attempt that this process has begun just now: nothing was asked for."""
    return Watch(attempt, Name(installation, record.job.id, record.round, attempt.number))


def watch_of(installation: str, record: JobRecord, task: TaskRecord) -> Watch | None:
    """Of an attempt that was begun by whoever; None if it has nothing to do with Amazon EMR."""
    round_ = round_in(task.owner or "")
    if round_ is None:
        return None
    asked = task.metadata.get(ASKED)
    watch = Watch(
        attempt_of(task, record.job),
        Name(installation, record.job.id, round_, task.attempt),
        task.metadata.get(CLUSTER, ""),
        float(asked) if asked else None,
    )
    watch.doubt()
    return watch


def stopped(record: JobRecord, watch: Watch, *, timed_out: bool = False) -> Stopped:
    """Why it is to end, or was ended: a cancel that a new round has lifted since is one all the same."""
    cancelled = record.ending.reason if record.ending else None
    if cancelled is None and watch.name.round < record.round:
        cancelled = "cancelled in an earlier round"
    return Stopped(cancelled, timed_out)


def over_time(record: JobRecord, elapsed: float) -> bool:
    limit = record.job.limits.timeout
    return limit is not None and elapsed >= limit
