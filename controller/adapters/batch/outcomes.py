"""From what AWS Batch says of an attempt to how it ended, and who pays for it. Pure."""

from __future__ import annotations

import signal
from dataclasses import replace

from controller.adapters.batch.details import FORGOTTEN, BatchAttempt, BatchJob
from runner import outcomes
from runner.model import Charge, Kind, Outcome
from runner.ports import Exit

TIMED_OUT = "Job attempt duration exceeded timeout"
OUT_OF_MEMORY = "OutOfMemoryError"
NO_SPACE = "no space left on device"

# The instance went away under it.
HOST_LOST = ("Host EC2",)
INTERRUPTED = ("Your Spot Task was interrupted",)
# Of Amazon ECS's errors those that are the engine's or the network's own doing; the same may well start elsewhere.
ENGINE_FAULTS = (
    "ContainerRuntimeError",
    "ContainerRuntimeTimeoutError",
    "DockerStateError",
    "DockerTimeoutError",
    "CannotInspectContainerError",
    "CannotStopContainerError",
    "CannotCreateVolumeError",
    "Timeout waiting for network interface provisioning",
)
# Without any reason beside it, it is AWS's own doing as well.
NOT_STARTED = "Task failed to start"
# Of what has one of these reasons an exit code is not the program's.
NEVER_RAN = ("CannotPull", "CannotStart", "CannotCreate")
# A registry that does not answer in time, or has enough of us, is not a missing image.
PASSING_PULLS = (
    *("timeout", "timed out", "toomanyrequests", "rate exceeded", "connection re", "unexpected eof"),
    *("context canceled", "500 internal", "502 bad", "503 service", "503 slow", "504 gateway"),
)

# As an engine reports an end by signal n, and no other codes: see `runner.outcomes`.
ENDING_SIGNALS = frozenset(
    {
        *outcomes.SENT_SIGNALS,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGSEGV,
        signal.SIGPIPE,
        signal.SIGALRM,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGSYS,
    }
)


def outcome_of(attempt: BatchAttempt, *, succeeded: bool = False, cancelled: str | None = None) -> Outcome:
    """`succeeded`: it made its job succeed. `cancelled`: it was stopped by us, for this reason."""
    outcome = _kind_of(attempt, succeeded=succeeded, cancelled=cancelled)
    # The container's start, not the submission: what waited for a machine has not used up anything.
    return replace(outcome, started_at=attempt.started_at, finished_at=attempt.stopped_at)


def _kind_of(attempt: BatchAttempt, *, succeeded: bool, cancelled: str | None) -> Outcome:
    said, code = attempt.status_reason, attempt.exit_code
    if succeeded:
        return Outcome(Kind.SUCCEEDED, exit_code=0 if code is None else code)
    if said.startswith(HOST_LOST):
        return Outcome(Kind.LOST, reason=said)
    if any(sign in said for sign in INTERRUPTED):
        return Outcome(Kind.INTERRUPTED, exit_code=code, reason=said)
    if said.startswith(TIMED_OUT):
        return Outcome(Kind.TIMED_OUT, exit_code=code, reason="time limit")
    if cancelled is not None:
        return Outcome(Kind.CANCELLED, exit_code=code, reason=cancelled)
    if code is None and attempt.reason.startswith(OUT_OF_MEMORY):
        return Outcome(Kind.OUT_OF_MEMORY, reason=attempt.reason)
    if code is None or attempt.reason.startswith(NEVER_RAN):
        return _not_started(attempt.reason or said)
    return _exited(attempt, code)


def _exited(attempt: BatchAttempt, code: int) -> Outcome:
    ended = Exit(
        exit_code=code,
        started_at=attempt.started_at or 0.0,
        finished_at=attempt.stopped_at or 0.0,
        signal=code - 128 if code - 128 in ENDING_SIGNALS else None,
        out_of_memory=attempt.reason.startswith(OUT_OF_MEMORY),
    )
    outcome = outcomes.of_exit(ended, None)
    if outcome.kind is Kind.SUCCEEDED:  # AWS Batch says that it failed all the same
        return replace(outcome, kind=Kind.KILLED, reason=attempt.status_reason or "stopped")
    if outcome.kind is Kind.KILLED and attempt.status_reason:
        return replace(outcome, reason=f"{outcome.reason} ({attempt.status_reason})")
    return outcome


def _not_started(reason: str) -> Outcome:
    """Amazon ECS's errors begin with their name."""
    if NO_SPACE in reason:
        return Outcome(Kind.DISK_FULL, reason=reason)
    if reason.startswith("CannotPull"):
        passing = any(sign in reason.lower() for sign in PASSING_PULLS)
        return Outcome(Kind.IMAGE_ERROR, charge=Charge.INFRA if passing else None, reason=reason)
    if reason.startswith(ENGINE_FAULTS) or reason == NOT_STARTED:
        return Outcome(Kind.START_ERROR, charge=Charge.INFRA, reason=reason)
    return Outcome(Kind.START_ERROR, reason=reason or "AWS Batch could not start it and does not say why")


def never_began(job: BatchJob) -> Outcome:
    """Of a job that ended without an attempt that is told of: somebody stopped it, or the queue's own rules did."""
    if job.status == "SUCCEEDED":
        return Outcome(Kind.SUCCEEDED, finished_at=job.stopped_at)
    if job.reason == FORGOTTEN:
        return Outcome(Kind.LOST, reason=job.reason, finished_at=job.stopped_at)
    kind = Kind.KILLED if job.stopped else Kind.START_ERROR
    reason = f"AWS Batch ended it before it began: {job.reason or 'no reason given'}"
    return Outcome(kind, reason=reason, finished_at=job.stopped_at)
