"""What the engine says of a container that has ended, as an `Exit`. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import datetime

from runner.adapters.docker.api import Details
from runner.model import Usage
from runner.ports import Exit

# The engine reports an end by signal n as exit code 128 + n, as shells do, and so cannot tell it from a
# program that exits with that number. Only these signals are believed: what commonly ends programs, and
# seldom a code of their own.
ENDING_SIGNALS = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGPIPE,
        signal.SIGALRM,
        signal.SIGTERM,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGSYS,
    }
)

NEVER = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of an attempt. `oom_kills`: its processes that the kernel ended for want of memory."""

    usage: Usage
    oom_kills: int = 0


NOTHING_MEASURED = Measured(Usage())


def epoch(text: object) -> float:
    """The engine's timestamps have nanoseconds, and the year 1 for what has not happened: NEVER."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return NEVER
    return max(NEVER, moment.timestamp()) if moment.year > 1 else NEVER


def is_running(details: Details) -> bool:
    state = details["State"]
    return bool(state["Running"] or state.get("Paused"))


def has_started(details: Details) -> bool:
    return epoch(details["State"]["StartedAt"]) > NEVER


def exit_code(details: Details) -> int:
    return int(details["State"]["ExitCode"])


def signal_of(code: int) -> int | None:
    return code - 128 if code - 128 in ENDING_SIGNALS else None


def exit_of(details: Details, measured: Measured, digest: str | None, warning: str = "") -> Exit:
    """How it ended by itself, or by a signal somebody sent it."""
    state, code = details["State"], exit_code(details)
    starved = bool(state["OOMKilled"]) or measured.oom_kills > 0
    if starved and code == 0:
        warning = "; ".join(filter(None, (warning, "one of its processes was killed for want of memory")))
    return Exit(
        exit_code=code,
        started_at=epoch(state["StartedAt"]),
        finished_at=epoch(state["FinishedAt"]),
        signal=signal_of(code),
        out_of_memory=starved and code != 0,
        usage=measured.usage,
        image_digest=digest,
        warning=warning,
    )
