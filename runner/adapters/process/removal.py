"""Removes a directory tree, whatever a task has made of it: deep, closed, replaced by something else."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import stat
from collections.abc import Iterator

import structlog

log = structlog.get_logger()

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove what is at `path`. What withstands is told in the log and stays, for `recover` to try again."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # a link put in the directory's place
    if not os.path.lexists(path):
        return
    try:
        _open_up(path, None)
        top = os.open(path, _DIRECTORY)
        try:
            _clear(top)
        finally:
            os.close(top)
        os.rmdir(path)
    except OSError as error:
        log.warning("cannot remove scratch space", path=path, error=str(error))


def _clear(top: int) -> None:
    """Remove all in the directory. What is two levels down is lifted up a level first: so neither the stack,
    nor open files, nor the length of a path limit the depth.
    """
    prefix = secrets.token_hex(8)
    names = (f"{prefix}-{number}" for number in itertools.count())
    withstood: set[str] = set()
    while entries := [entry for entry in _entries(top) if entry.name not in withstood]:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    _remove_directory(entry.name, top, names)
                else:
                    os.unlink(entry.name, dir_fd=top)
            except OSError:
                withstood.add(entry.name)


def _remove_directory(name: str, top: int, names: Iterator[str]) -> None:
    """Directories in it go to `top`, each under the next of `names`. Raises OSError if something withstands."""
    _open_up(name, top)
    directory = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for entry in _entries(directory):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    _open_up(entry.name, directory)
                    os.rename(entry.name, next(names), src_dir_fd=directory, dst_dir_fd=top)
                else:
                    os.unlink(entry.name, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _open_up(name: str, parent: int | None) -> None:
    """Without write permission on a directory nothing in it can be removed or moved, except by root."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.chmod(name, 0o700, dir_fd=parent)


def _entries(directory: int) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return list(entries)
