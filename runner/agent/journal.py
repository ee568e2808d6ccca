"""What this host has begun and not ended, on its own disk: all a restarted agent knows of the one that was killed.

Append-only JSON lines, not synced: it serves the death of the process, not of the machine. After that, the ledger's
own way of taking over from a silent owner does the same, only later. A torn last line is passed over.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.model import Attempt, Lease, TaskId
from runner.outcomes import StopCause

COMPACT_AFTER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """Of its container, by a clock that nobody sets: the loop's time in that `boot` of the machine."""

    boot: str
    at: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Why its container was told to stop, and from when on its end is taken for that, in epoch seconds."""

    cause: StopCause
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class Left:
    """What was begun and not ended, with what is known of its container."""

    lease: Lease
    attempt: Attempt
    start: Start | None = None
    stop: Stop | None = None


class Journal:
    """A full disk does not stop the agent: what could not be written is found by the ledger instead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = _read(path)
        self._open = {str(left.attempt): _lines(left) for left in self._left}
        path.parent.mkdir(parents=True, exist_ok=True)
        # What was left stays open until it is ended: a second death during recovery must find it again.
        self._descriptor, self._size = self._rewritten()

    @property
    def left(self) -> list[Left]:
        """What an earlier agent on this host had begun and not ended."""
        return list(self._left)

    def begun(self, lease: Lease, attempt: Attempt) -> None:
        line = _begun(lease, attempt)
        self._open[str(attempt)] = line
        self._append(line)

    def started(self, attempt: Attempt, start: Start) -> None:
        self._more(attempt, _started(attempt, start))

    def stopping(self, attempt: Attempt, stop: Stop) -> None:
        """Call before its container is told."""
        self._more(attempt, _stopping(attempt, stop))

    def ended(self, attempt: Attempt) -> None:
        if self._open.pop(str(attempt), None) is not None:
            self._append(json.dumps({"ended": str(attempt)}) + "\n")

    def close(self) -> None:
        os.close(self._descriptor)

    def _more(self, attempt: Attempt, line: str) -> None:
        if str(attempt) in self._open:
            self._open[str(attempt)] += line
            self._append(line)

    def _append(self, line: str) -> None:
        data = line.encode()
        try:
            if self._size > COMPACT_AFTER:
                grown = self._descriptor
                self._descriptor, self._size = self._rewritten()
                os.close(grown)
            self._size += os.write(self._descriptor, data)
        except OSError:
            return

    def _rewritten(self) -> tuple[int, int]:
        """A descriptor for a new file of what is open, put in the old one's place at once, and its size."""
        data = "".join(self._open.values()).encode()
        temporary = self._path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, data)
        temporary.replace(self._path)
        return descriptor, len(data)


def _begun(lease: Lease, attempt: Attempt) -> str:
    entry = {
        "begun": str(attempt),
        "task": [lease.task.job_id, lease.task.index],
        "lease": {
            "queue": lease.queue,
            "message_id": lease.message_id,
            "token": lease.token,
            "receives": lease.receives,
        },
        "attempt": {
            "number": attempt.number,
            "tries": attempt.tries,
            "owner": attempt.owner,
            "memory": attempt.memory,
            "user_failures": attempt.user_failures,
            "infra_failures": attempt.infra_failures,
        },
    }
    return json.dumps(entry) + "\n"


def _started(attempt: Attempt, start: Start) -> str:
    return json.dumps({"started": str(attempt), "boot": start.boot, "at": start.at}) + "\n"


def _stopping(attempt: Attempt, stop: Stop) -> str:
    entry = {"stopping": str(attempt), "cause": str(stop.cause), "detail": stop.detail, "at": stop.at}
    return json.dumps(entry) + "\n"


def _lines(left: Left) -> str:
    lines = _begun(left.lease, left.attempt)
    if left.start is not None:
        lines += _started(left.attempt, left.start)
    if left.stop is not None:
        lines += _stopping(left.attempt, left.stop)
    return lines


def _read(path: Path) -> list[Left]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    found: dict[str, Left] = {}
    for line in lines:
        try:
            _see(json.loads(line), found)
        except (ValueError, KeyError, TypeError):
            continue
    return list(found.values())


def _see(entry: dict[str, Any], found: dict[str, Left]) -> None:
    if "ended" in entry:
        found.pop(entry["ended"], None)
    elif "started" in entry:
        key = entry["started"]
        found[key] = replace(found[key], start=Start(str(entry["boot"]), float(entry["at"])))
    elif "stopping" in entry:
        key, cause = entry["stopping"], StopCause(entry["cause"])
        found[key] = replace(found[key], stop=Stop(cause, str(entry["detail"]), float(entry["at"])))
    else:
        found[entry["begun"]] = _entry(entry)


def _entry(entry: dict[str, Any]) -> Left:
    task = TaskId(*entry["task"])
    # The loop's time of the lease was another process's: whoever adopts it renews it first.
    lease = Lease(task=task, hidden_until=0.0, **entry["lease"])
    return Left(lease, Attempt(task=task, **entry["attempt"]))
