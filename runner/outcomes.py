"""From what an engine saw to how the attempt ended. Pure."""

from __future__ import annotations

import signal
from enum import StrEnum

from runner.errors import EngineError, EngineUnavailable, ImageError
from runner.model import Charge, Kind, Outcome
from runner.ports import Exit


class StopCause(StrEnum):
    """Why we stopped a container ourselves."""

    TIME_LIMIT = "time limit"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    LEASE_LOST = "lease lost"


STOPPED_AS = {
    StopCause.TIME_LIMIT: Kind.TIMED_OUT,
    StopCause.CANCELLED: Kind.CANCELLED,
    StopCause.INTERRUPTED: Kind.INTERRUPTED,
    StopCause.LEASE_LOST: Kind.LOST,
}

# Signals that somebody sends; any other (SIGSEGV, SIGABRT, SIGFPE …) is the program's own doing: a failure.
SENT_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


def of_exit(ended: Exit, cause: StopCause | None, *, detail: str = "", disk_trouble: str = "") -> Outcome:
    """The outcome of a container that ran. `detail` explains `cause`; `disk_trouble` is the host's complaint, if any.

    A container we stopped is what we stopped it for, whatever it then exits with: a program that catches SIGTERM and
    exits 0 at its time limit has not done its work.
    """
    kind, reason = _kind_and_reason(ended, cause, detail, disk_trouble)
    return Outcome(
        kind=kind,
        exit_code=ended.exit_code,
        reason=reason,
        usage=ended.usage,
        started_at=ended.started_at,
        finished_at=ended.finished_at,
        image_digest=ended.image_digest,
        warning=ended.warning,
    )


def _kind_and_reason(
    ended: Exit, cause: StopCause | None, detail: str, disk_trouble: str
) -> tuple[Kind, str]:
    if cause is not None:
        return STOPPED_AS[cause], detail or str(cause)
    if ended.vanished:
        return Kind.LOST, ended.warning or "the engine lost the container"
    if ended.exit_code == 0:
        return Kind.SUCCEEDED, ""
    if ended.out_of_memory:
        return Kind.OUT_OF_MEMORY, "used more memory than its limit"
    if disk_trouble:
        return Kind.DISK_FULL, disk_trouble
    if ended.signal is not None:
        kind = Kind.KILLED if ended.signal in SENT_SIGNALS else Kind.FAILED
        return kind, f"ended by signal {signal_name(ended.signal)}"
    return Kind.FAILED, f"exit code {ended.exit_code}"


def of_error(error: EngineError, at: float) -> Outcome:
    """The outcome of a container that never ran. Only an engine that does not answer is not the user's to pay for."""
    kind = Kind.IMAGE_ERROR if isinstance(error, ImageError) else Kind.START_ERROR
    charge = Charge.INFRA if isinstance(error, EngineUnavailable) else None
    return Outcome(kind=kind, charge=charge, reason=str(error), finished_at=at)


def never_started(cause: StopCause, detail: str, at: float) -> Outcome:
    return Outcome(kind=STOPPED_AS[cause], reason=detail or str(cause), finished_at=at)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
