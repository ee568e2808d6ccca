"""What the ledger, the queues and the hosts say of the work: frozen values, no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runner.model import Charge, Job, Outcome, Status, TaskId


@dataclass(frozen=True, slots=True)
class Counts:
    """A job's tasks by status. They add up to its size."""

    pending: int = 0
    runnable: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def size(self) -> int:
        return self.pending + self.runnable + self.running + self.finished

    @property
    def finished(self) -> int:
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a job as a whole ended before its tasks did: cancelled, or a job it came after did not succeed."""

    status: Status
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job and all the ledger knows of it as a whole.

    `sent` is the enqueueing cursor, a position in the array. `released_at` is when its parents had succeeded (or it
    had none); None while it waits. `queued` counts the tasks that were sent and have not ended: on a queue, or running.
    `round` counts from 1, one more with each `retry`. `task_seconds`,
    `cpu_seconds` and `peak_memory` sum or bound over the recorded attempts.
    """

    job: Job
    counts: Counts
    round: int = 1
    sent: int = 0
    queued: int = 0
    released_at: float | None = None
    ending: Ending | None = None
    first_started_at: float | None = None
    last_finished_at: float | None = None
    task_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int | None = None

    @property
    def status(self) -> Status:
        return job_status(self)


def job_status(record: JobRecord) -> Status:
    """A job's status, derived: ended as a whole, else by its tasks, FAILED as soon as all are done and one failed."""
    counts = record.counts
    if record.ending is not None and counts.running == 0:
        return record.ending.status
    if record.released_at is None and record.ending is None:
        return Status.PENDING
    if counts.finished == record.job.array.size:
        if counts.failed:
            return Status.FAILED
        return Status.CANCELLED if counts.cancelled else Status.SUCCEEDED
    return Status.RUNNING if counts.running or counts.finished else Status.RUNNABLE


@dataclass(frozen=True, slots=True)
class Window:
    """The next tasks to enqueue: reopened ones and those from the cursor, which moves to `cursor` once all are sent.

    `round` is the job's when the window was made: one of an earlier round says nothing about what is on the queue now.
    """

    indices: tuple[int, ...]
    cursor: int
    round: int = 1


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task as the ledger has it; `begun` is False for one made up from the array because no attempt began yet."""

    task: TaskId
    status: Status
    round: int = 1
    attempt: int = 0
    tries: int = 0
    owner: str | None = None
    user_failures: int = 0
    infra_failures: int = 0
    begun_at: float | None = None
    not_before: float | None = None
    memory: int | None = None
    outcome: Outcome | None = None
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        return self.attempt > 0


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One ended attempt, kept for ever."""

    task: TaskId
    round: int
    number: int
    owner: str
    begun_at: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger has of an attempt whose log is to be read. `outcome` None: as far as it knows, not ended."""

    owner: str | None = None
    begun_at: float | None = None
    outcome: Outcome | None = None


UNRECORDED = Recorded()


@dataclass(frozen=True, slots=True)
class Backlog:
    """One queue's depth. On SQS these are approximate and up to a minute old; `as_of` says when they were read."""

    visible: int
    in_flight: int
    delayed: int
    as_of: float

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was put aside: unreadable (`task` is None then), or received too often.

    `queue` is where it came from, `receives` how often it was received there. `at`: when it was put aside, or sent.
    `reason`: why an agent put it aside; empty if the queue itself moved it.
    """

    id: str
    queue: str
    body: str
    reason: str
    receives: int
    at: float
    task: TaskId | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """What an agent last said of itself. `state` is running, draining, unhealthy or retired."""

    host: str
    incarnation: str
    state: str
    vcpus: float
    memory: int
    free_vcpus: float
    free_memory: int
    tasks: int
    engines: tuple[str, ...]
    queues: tuple[str, ...]
    pid: int
    started_at: float
    seen_at: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What the leader publishes beside the demand, for agents and for people.

    `demand`: tasks that wait or run, by channel; channels without any are left out. `reasons`: by compute environment,
    why it has the machines it has. `waiting`: of `demand` those that another machine could begin; None where it is all
    the same. `trouble`: why machines do not come, for whoever waits for them; empty if they do.
    """

    demand: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, int] | None = None
    trouble: str = ""


class RefusalKind(StrEnum):
    FINISHED = "finished"
    CANCELLED = "cancelled"
    EXHAUSTED = "exhausted"  # taking over from a silent owner used up the last infrastructure retry
    HELD = "held"  # another owner has it, and may be alive
    TOO_EARLY = "too_early"  # its backoff has not run out
    UNKNOWN = "unknown"  # no such job, or no such index in it


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the ledger will not let an attempt begin. `retry_after`: seconds to hide the message; None: complete it,
    or quarantine it if UNKNOWN."""

    kind: RefusalKind
    retry_after: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an outcome means for the task: its next status, and for RUNNABLE after how long and with how much memory."""

    status: Status
    charge: Charge | None = None
    delay: float = 0.0
    memory: int | None = None
    reason: str = ""
