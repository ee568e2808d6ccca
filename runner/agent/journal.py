"""What this host has begun and not ended, on its own disk: all a restarted agent knows of the one that was killed.

Append-only JSON lines, not synced: it serves the death of the process, not of the machine. After that, the ledger's
own way of taking over from a silent owner does the same, only later. A torn last line is passed over.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from runner.model import Attempt, Lease, TaskId

COMPACT_AFTER = 4 * 1024 * 1024


class Journal:
    """A full disk does not stop the agent: what could not be written is found by the ledger instead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = _read(path)
        self._open = {str(attempt): _begun(lease, attempt) for lease, attempt in self._left}
        path.parent.mkdir(parents=True, exist_ok=True)
        # What was left stays open until it is ended: a second death during recovery must find it again.
        self._descriptor, self._size = self._rewritten()

    @property
    def left(self) -> list[tuple[Lease, Attempt]]:
        """What an earlier agent on this host had begun and not ended."""
        return list(self._left)

    def begun(self, lease: Lease, attempt: Attempt) -> None:
        line = _begun(lease, attempt)
        self._open[str(attempt)] = line
        self._append(line)

    def ended(self, attempt: Attempt) -> None:
        if self._open.pop(str(attempt), None) is not None:
            self._append(json.dumps({"ended": str(attempt)}) + "\n")

    def close(self) -> None:
        os.close(self._descriptor)

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


def _read(path: Path) -> list[tuple[Lease, Attempt]]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    found: dict[str, tuple[Lease, Attempt]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if "ended" in entry:
                found.pop(entry["ended"], None)
            else:
                found[entry["begun"]] = _entry(entry)
        except (ValueError, KeyError, TypeError):
            continue
    return list(found.values())


def _entry(entry: dict[str, Any]) -> tuple[Lease, Attempt]:
    task = TaskId(*entry["task"])
    # The loop's time of the lease was another process's: whoever adopts it renews it first.
    return Lease(task=task, hidden_until=0.0, **entry["lease"]), Attempt(task=task, **entry["attempt"])
