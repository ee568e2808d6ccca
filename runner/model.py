"""The nouns: frozen values, no I/O, no clock.

Units, everywhere in the project: durations are seconds (float), sizes are bytes (int), wall-clock times are
seconds since the Unix epoch, UTC (float).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import accumulate

MAX_ARRAY = 1_000_000


class Status(StrEnum):
    """Where a task or a job stands. A job's is derived from its tasks (`runner.status`)."""

    PENDING = "PENDING"  # waits for the jobs it comes after
    RUNNABLE = "RUNNABLE"  # may be begun
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

ALLOWED_MOVES: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNABLE, Status.FAILED, Status.CANCELLED}),
    Status.RUNNABLE: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.RUNNABLE, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}),
    # Only `retry` leaves a terminal status, and it opens a new round; the old record stays as history.
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset({Status.RUNNABLE}),
    Status.CANCELLED: frozenset({Status.RUNNABLE}),
}


class Kind(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the program's own exit code, not zero
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"  # with evidence from the engine
    KILLED = "killed"  # by a signal, and not by us
    CANCELLED = "cancelled"
    START_ERROR = "start_error"  # the engine could not create or start the container
    IMAGE_ERROR = "image_error"  # no such image, or no right to it
    DISK_FULL = "disk_full"
    INTERRUPTED = "interrupted"  # the host is going away: spot notice, drain
    LOST = "lost"  # the owner fell silent, or lost its lease


class Charge(StrEnum):
    """Who pays for a failed attempt: the user's retries, or the larger bound kept for the infrastructure."""

    USER = "user"
    INFRA = "infra"


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    """One shard of a job."""

    job_id: str
    index: int

    def __str__(self) -> str:
        return f"{self.job_id}/{self.index}"


@dataclass(frozen=True)
class Array:
    """The indices of a job's tasks, ascending and distinct, as spans that cost nothing to hold however long.

    `manifest` names the stored lines or items, by content; a task's item is the one at its index. `total` is the
    size the container is told: that of the whole array when only some of its indices are run.
    """

    spans: tuple[range, ...]
    total: int
    manifest: str | None = None

    @cached_property
    def size(self) -> int:
        return sum(len(span) for span in self.spans)

    def __iter__(self) -> Iterator[int]:
        for span in self.spans:
            yield from span

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._firsts, index) - 1
        return at >= 0 and index in self.spans[at]

    def rank(self, index: int) -> int:
        """How many of the indices are smaller than `index`: its position, if it is one of them."""
        at = bisect_right(self._firsts, index) - 1
        if at < 0:
            return 0
        span = self.spans[at]
        return self._before[at] + min(len(span), -((span.start - index) // span.step))

    @cached_property
    def _firsts(self) -> list[int]:
        return [span.start for span in self.spans]

    @cached_property
    def _before(self) -> list[int]:
        return [0, *accumulate(len(span) for span in self.spans)]

    def window(self, start: int, count: int) -> list[int]:
        """The indices at positions `start` to `start + count - 1`, without walking what comes before them."""
        found: list[int] = []
        for span in self.spans:
            if start >= len(span):
                start -= len(span)
                continue
            taken = span[start : start + count - len(found)]
            found.extend(taken)
            start = 0
            if len(found) >= count:
                break
        return found

    @classmethod
    def of_size(cls, size: int, manifest: str | None = None) -> Array:
        return cls(spans=(range(size),), total=size, manifest=manifest)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may use. `timeout` counts from the container's start; `grace` lies between SIGTERM and SIGKILL."""

    vcpus: float = 1.0
    memory: int = 512 * 1024**2
    timeout: float | None = None
    grace: float = 10.0
    pids: int = 4096


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do after an outcome of one of `kinds`, or a failure with one of `exit_codes` (inclusive pairs).

    The first rule that matches decides. `memory_factor` multiplies the next attempt's memory.
    """

    retry: bool
    kinds: frozenset[Kind] = frozenset()
    exit_codes: tuple[tuple[int, int], ...] = ()
    memory_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Retry:
    """`retries` bounds attempts charged to the user beyond the first, `infra_retries` those lost to machines."""

    retries: int = 0
    infra_retries: int = 10
    backoff: float = 1.0
    backoff_factor: float = 2.0
    max_backoff: float = 300.0
    max_memory: int | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """An environment variable of the task whose value is read on the host at start and is written nowhere.

    `source` is `file` or `env`; `reference` the file's path or the variable's name there.
    """

    name: str
    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A companion container: shares the task's network and its scratch volume; started before it, stopped after."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    memory: int = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Job:
    """What a user submits; immutable once submitted."""

    id: str
    name: str
    command: tuple[str, ...]
    array: Array
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    retry: Retry = Retry()
    queue: str = "default"
    after: tuple[str, ...] = ()
    max_parallel: int | None = None
    mounts: tuple[Mount, ...] = ()
    secrets: tuple[Secret, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    idempotency_key: str | None = None
    created_at: float = 0.0

    @property
    def sidecar_memory(self) -> int:
        return sum(sidecar.memory for sidecar in self.sidecars)


@dataclass(frozen=True, slots=True)
class Lease:
    """A message held for a while.

    `token` is what the queue wants to see on extend and complete; `received` is the event loop's time at receive,
    `hidden_until` the loop's time when the queue may hand the message to someone else. `receives` counts deliveries.
    """

    task: TaskId
    queue: str
    message_id: str
    token: str
    receives: int
    received: float
    hidden_until: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task on one host. `number` never repeats for a task, over all rounds: it fences every later write.

    `tries` is what the container is told: from 1 in each round. `user_failures` and `infra_failures` are those of
    this round before this attempt. `memory` is what this attempt may use.
    """

    task: TaskId
    number: int
    tries: int
    owner: str
    memory: int
    user_failures: int = 0
    infra_failures: int = 0

    def __str__(self) -> str:
        return f"{self.task}#{self.number}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used; None where it could not be measured."""

    peak_memory: int | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. A value, never an exception.

    `tail` holds the last lines of output, kept for failures only. `log_bytes` is what the task wrote, `log_dropped` what
    of it was not kept.
    """

    kind: Kind
    charge: Charge | None = None
    exit_code: int | None = None
    reason: str = ""
    usage: Usage = Usage()
    started_at: float | None = None
    finished_at: float | None = None
    image_digest: str | None = None
    warning: str = ""
    tail: tuple[str, ...] = ()
    log_bytes: int = 0
    log_dropped: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)


class RefusalKind(StrEnum):
    FINISHED = "finished"
    CANCELLED = "cancelled"
    EXHAUSTED = "exhausted"  # taking over from a silent owner used up the last infrastructure retry
    HELD = "held"  # another owner has it, and may be alive
    TOO_EARLY = "too_early"  # its backoff has not run out
    UNKNOWN = "unknown"  # no such job, or no such index in it


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the ledger will not let an attempt begin. `retry_after` seconds: hide the message that long; None: complete it."""

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
