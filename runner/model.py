"""The nouns: frozen values, no I/O, no clock.

Units, everywhere in the project: durations are seconds (float), sizes are bytes (int), wall-clock times are
seconds since the Unix epoch, UTC (float).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runner.array import Array
from runner.emr import Emr

# Whose machines a job runs on, if it is not this installation's own.
BATCH, EMR = BACKENDS = ("batch", "emr")


class Status(StrEnum):
    """Where a task or a job stands. A job's is derived from its tasks (`records.job_status`)."""

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
    """An environment variable of the task whose value is read on the host at start and is written nowhere. `source`
    is `file`, `env` or `arn`; `reference` the file's path, the variable's name there, or the secret's ARN.
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
    """What a user submits; immutable once submitted. `bare`: a plain process although it names an image. `role`: the
    IAM role its tasks act in. `user`: whose share of a queue it has, no proof of who that is; empty: not known.
    `backend`: one of BACKENDS; empty: this installation's own machines. `emr`: given with the backend EMR, and
    only there.
    """

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
    role: str | None = None
    idempotency_key: str | None = None
    bare: bool = False
    created_at: float = 0.0
    user: str = ""
    backend: str = ""
    emr: Emr | None = None

    @property
    def engine(self) -> str:
        """The name of the engine that runs it."""
        return "docker" if self.image is not None and not self.bare else "process"

    @property
    def sidecar_memory(self) -> int:
        return sum(sidecar.memory for sidecar in self.sidecars)


@dataclass(frozen=True, slots=True)
class Lease:
    """A message held for a while. `token` is what the queue wants to see on extend and complete; `receives` counts
    deliveries. In the event loop's time: after `hidden_until` the queue may hand the message to someone else; it was
    `received` then, which counts where a queue bounds how long it may be held in all.
    """

    task: TaskId
    queue: str
    message_id: str
    token: str
    receives: int
    hidden_until: float
    received: float = 0.0


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


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. A value, never an exception.

    `tail`: the last lines of output, for failures only. `log_bytes` is what the task wrote, `log_dropped` of it was not
    kept, `log` says where the rest lies, unless the logs find it by themselves. `memory`: what the attempt might use,
    where that was not what its job says. `machine_type` is the host's.
    """

    kind: Kind
    charge: Charge | None = None
    exit_code: int | None = None
    reason: str = ""
    usage: Usage = NO_USAGE
    started_at: float | None = None
    finished_at: float | None = None
    image_digest: str | None = None
    warning: str = ""
    tail: tuple[str, ...] = ()
    log_bytes: int = 0
    log_dropped: int = 0
    log: str = ""
    machine_type: str = ""
    memory: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)
