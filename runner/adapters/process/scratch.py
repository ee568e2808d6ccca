"""Scratch directories: one for each running task, removed whatever it left there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import stat

from runner.adapters.process import roll
from runner.adapters.process.removal import remove_tree
from runner.errors import EngineUnavailable

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MODE = stat.S_IFDIR | 0o700


class Scratch:
    """The directories of one host, under `root`.

    A directory found empty again serves another task: making and removing one takes ext4 longer than we need
    for all the rest of a short task.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._prefix = secrets.token_hex(4)
        self._made = 0
        self._clean: list[str] = []

    def take(self) -> str:
        """An empty directory for one task alone. Raises EngineUnavailable: disk full, say."""
        while self._clean:
            path = self._clean.pop()
            if _untouched(path):
                return path
        self._made += 1
        path = f"{self.root}/{self._prefix}-{self._made}"
        try:
            os.makedirs(self.root, 0o700, exist_ok=True)
            os.mkdir(path, 0o700)
        except OSError as error:
            msg = f"cannot make the scratch directory {path}: {os.strerror(error.errno or 0)}"
            raise EngineUnavailable(msg) from error
        return path

    async def give_back(self, path: str) -> None:
        """Its task is over. What it left is removed in a thread: there may be much."""
        if _untouched(path):
            self._clean.append(path)
        else:
            await asyncio.to_thread(remove_tree, path)
            roll.drop(path)

    def drop_clean(self) -> None:
        """Remove the directories kept for later tasks, and `root` if nothing is left in it."""
        for path in (*self._clean, self.root):
            roll.drop(path)
            with contextlib.suppress(OSError):
                os.rmdir(path)
        self._clean.clear()


def _untouched(path: str) -> bool:
    """Whether it is there, empty and open to us: not replaced by a link, nor closed by its mode."""
    try:
        return os.lstat(path).st_mode == _MODE and not os.listdir(path)
    except OSError:
        return False


def path_part(name: str) -> str:
    """`name` where it is harmless as part of a path, else a digest of it."""
    if _PLAIN.fullmatch(name):
        return name
    return "x" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:40]
