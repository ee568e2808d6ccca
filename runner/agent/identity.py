"""One agent per host: the lock that makes a restarted agent sure that its predecessor is dead."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from pathlib import Path
from types import TracebackType

from runner.errors import Unavailable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TRIES = 20
PAUSE = 0.025


class HostLock:
    """Held by the agent's process for its life; the system gives it back however the process ends."""

    def __init__(self, state: Path) -> None:
        self._path = state / "lock"
        self._descriptor: int | None = None

    def __enter__(self) -> HostLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(TRIES):
            if _try_lock(descriptor):
                self._descriptor = descriptor
                return self
            time.sleep(PAUSE)  # whoever only asks `is_held` has the lock for a moment, too
        os.close(descriptor)
        message = f"another agent is this host already ({self._path} is locked)"
        raise Unavailable(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(state: Path) -> bool:
    """Whether an agent lives there. Leaves no trace."""
    try:
        descriptor = os.open(state / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def this_boot() -> str:
    """An id of this machine's present boot, as Linux gives it; an empty string: there is none."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def new_incarnation() -> str:
    return secrets.token_hex(4)
