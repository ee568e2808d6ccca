"""A sign of life in a file, for the watchdog: which agent, and a number that grows while its event loop runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def _nobody(state: str) -> None:
    pass


class Pulse:
    """`notify` is told the same in systemd's words, whether or not the file can be written, and before this agent has
    `begun`: until then the file is its predecessor's, whose watchdog counts on."""

    def __init__(self, path: Path, incarnation: str, notify: Callable[[str], None] = _nobody) -> None:
        self._path = path
        self._incarnation = incarnation
        self._notify = notify
        self._count = 0
        self._begun = False

    def begin(self) -> None:
        """What the predecessor left is this agent's now."""
        self._begun = True
        self.beat()

    def beat(self) -> None:
        self._count += 1
        self._notify("READY=1\nWATCHDOG=1")
        if not self._begun:
            return
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(f"{self._incarnation} {self._count}")
            temporary.replace(self._path)
        except OSError:
            return  # a full disk: the watchdog then stops what this agent could not record anyway

    def end(self) -> None:
        self._notify("STOPPING=1")
        self._path.unlink(missing_ok=True)


def read(path: Path) -> tuple[str, str] | None:
    """Incarnation and count, or None if no agent is alive here or ended well."""
    try:
        incarnation, _, count = path.read_text().partition(" ")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return incarnation, count
