"""Errors of SQLite, and of records we cannot read, as ours: with the file's name and the next step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from runner.codec import DecodeError
from runner.errors import StorageError

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})

_ADVICE = {
    sqlite3.SQLITE_BUSY: "is locked by another process; end it if it hangs (`fuser {file}` names them)",
    sqlite3.SQLITE_READONLY: "is read-only; make the file and its directory writable for this user",
    sqlite3.SQLITE_CORRUPT: "is corrupt; restore a copy, or salvage it with `sqlite3 {file} .recover`",
    sqlite3.SQLITE_NOTADB: "is not a database of this program; move it away, or choose another directory",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full; free some space and repeat",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; choose a directory that exists and this user may write in",
    sqlite3.SQLITE_PERM: "cannot be opened; this user has no right to it",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk and the system's log",
}


def is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in BUSY


def explain(error: Exception, file: str) -> StorageError | None:
    """What `error` says of the file; None if it is no fault of the file but of the statement."""
    if isinstance(error, DecodeError):
        return StorageError(f"database {file} holds what this program cannot read ({error}); use a newer one")
    if not isinstance(error, sqlite3.Error):
        return None
    code = _code(error)
    advice = _ADVICE.get(sqlite3.SQLITE_BUSY if code in BUSY else code)
    if advice is None:
        return None
    name = getattr(error, "sqlite_errorname", "")
    return StorageError(f"database {file} {advice.format(file=file)} ({name}: {error})")


@contextmanager
def explained(file: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, DecodeError) as error:
        raise explain(error, file) or error from error


def _code(error: sqlite3.Error) -> int:
    """Without its extension; 0 if SQLite itself gave none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
