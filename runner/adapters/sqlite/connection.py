"""Opens connections. In a thread, please: all of it may wait for disks and locks."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

from runner.adapters.sqlite import schema, trouble
from runner.errors import StorageError

OLDEST_SQLITE = (3, 35, 0)  # RETURNING

# How long a connection that reads may wait within SQLite, in seconds: only while another one recovers the log
# that a killed process left.
READER_PATIENCE = 5.0
PEEK_PATIENCE = 0.1

# Between two tries for a lock for which SQLite does not wait itself, in seconds.
PAUSE = 0.01


def open_memory() -> sqlite3.Connection:
    connection = _connect(":memory:", 0.0)
    schema.ensure(connection, ":memory:")
    return connection


def open_file(path: Path, patience: float) -> tuple[sqlite3.Connection, ...]:
    """Three connections: for writes, for reads, for quick looks. All of them, or StorageError and none."""
    with ExitStack() as opened:
        writer = open_writer(path, patience)
        opened.callback(writer.close)
        reader = open_reader(path, READER_PATIENCE)
        opened.callback(reader.close)
        peeker = open_reader(path, PEEK_PATIENCE)
        opened.pop_all()
    return writer, reader, peeker


def open_writer(path: Path, patience: float) -> sqlite3.Connection:
    """A connection to the file at `path`, created with its tables if there is none. Raises StorageError.

    It waits up to `patience` seconds for locks while it opens, and not at all later.
    """
    _check_library()
    try:
        _create(path)
        connection = _connect(str(path), patience)
        try:
            _use_log(connection, path, patience)
            schema.ensure(connection, str(path))
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
    except OSError as error:
        message = f"database {path} cannot be opened: {error.strerror}; choose one where this user may write"
        raise StorageError(message) from error
    except sqlite3.Error as error:
        raise trouble.explain(error, str(path)) or error from error
    return connection


def open_reader(path: Path, patience: float) -> sqlite3.Connection:
    """Raises StorageError."""
    with trouble.explained(str(path)):
        connection = _connect(str(path), patience)
        connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(database: str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database, timeout=patience, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        # Overwriting deleted messages with zeros costs writes and hides nothing: they are only pointers.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Only this user may read it: jobs carry environments. SQLite gives its side files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        # Never open an existing one here: closing it again would drop this process's locks on it. And SQLite
        # itself opens a read-only one without a word, to fail at the first write.
        _check_writable(path)


def _check_writable(path: Path) -> None:
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        message = f"database {path} is read-only or closed to this user; make it and its directory writable"
        raise StorageError(message)


def _use_log(connection: sqlite3.Connection, path: Path, patience: float) -> None:
    mode = _journal_mode(connection, patience)
    if mode != "wal":
        message = (
            f"database {path} cannot be shared between processes where it is (journal mode {mode}); "
            "choose a directory on a local disk"
        )
        raise StorageError(message)
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _journal_mode(connection: sqlite3.Connection, patience: float) -> str:
    """Ask for a write-ahead log, and again while another makes the file: for that lock SQLite does not wait."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.Error as error:
            if not trouble.is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE)


def _check_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        message = f"SQLite {sqlite3.sqlite_version} is too old: {'.'.join(map(str, OLDEST_SQLITE))} is needed"
        raise StorageError(message)
