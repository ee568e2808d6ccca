"""The tables, their version, and how a file is recognised as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from runner.errors import StorageError

NEW = 0
VERSION = 2
APPLICATION_ID = 0x53_48_52_44  # "SHRD"

TABLES = (
    # AUTOINCREMENT: an id must not come back, or one message could be taken for another that a note is about.
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        visible_at REAL NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0,
        token TEXT,
        body TEXT NOT NULL
    )
    """,
    "CREATE INDEX messages_by_time ON messages (queue, visible_at)",
    """
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY,
        queue TEXT NOT NULL,
        body TEXT NOT NULL,
        receives INTEGER NOT NULL,
        reason TEXT NOT NULL,
        at REAL NOT NULL
    )
    """,
    """
    CREATE TABLE jobs (
        job INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        idempotency_key TEXT UNIQUE,
        body TEXT NOT NULL
    )
    """,
    "CREATE INDEX jobs_by_name ON jobs (name)",
    # Apart from `jobs`, as it is written with every finish and a job's body may be large. `resend` counts the
    # reopened tasks not sent again yet; the never begun of them have positions from `gap` to `gap_end`.
    """
    CREATE TABLE progress (
        job INTEGER PRIMARY KEY,
        size INTEGER NOT NULL,
        round INTEGER NOT NULL DEFAULT 1,
        sent INTEGER NOT NULL DEFAULT 0,
        resend INTEGER NOT NULL DEFAULT 0,
        gap INTEGER NOT NULL DEFAULT 0,
        gap_end INTEGER NOT NULL DEFAULT 0,
        released_at REAL,
        ending TEXT,
        ending_reason TEXT,
        ended_at REAL,
        over INTEGER NOT NULL DEFAULT 0,
        succeeded INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        cancelled INTEGER NOT NULL DEFAULT 0,
        first_started_at REAL,
        last_finished_at REAL,
        task_seconds REAL NOT NULL DEFAULT 0,
        cpu_seconds REAL NOT NULL DEFAULT 0,
        peak_memory INTEGER
    )
    """,
    "CREATE INDEX progress_unfinished ON progress (job) WHERE over = 0",
    # A row is its task's latest attempt; beginning the next one copies it to `attempts` first. Its status may
    # also be REOPENED: runnable and not sent again yet. Only these modules know.
    """
    CREATE TABLE tasks (
        job INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        status TEXT NOT NULL,
        round INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        owner TEXT NOT NULL,
        begun_at REAL NOT NULL,
        user_failures INTEGER NOT NULL DEFAULT 0,
        infra_failures INTEGER NOT NULL DEFAULT 0,
        not_before REAL,
        memory INTEGER,
        outcome TEXT,
        reason TEXT,
        metadata TEXT,
        beat INTEGER NOT NULL DEFAULT 0,
        noted_beat INTEGER,
        noted_message TEXT,
        noted_at REAL,
        held INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, idx)
    ) WITHOUT ROWID
    """,
    # Without the succeeded, so that looking for failures costs the same however many succeeded.
    "CREATE INDEX tasks_unsuccessful ON tasks (job, status, idx) WHERE status <> 'SUCCEEDED'",
    """
    CREATE TABLE attempts (
        job INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        number INTEGER NOT NULL,
        round INTEGER NOT NULL,
        owner TEXT NOT NULL,
        begun_at REAL NOT NULL,
        outcome TEXT NOT NULL,
        PRIMARY KEY (job, idx, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE hosts (
        host TEXT PRIMARY KEY,
        incarnation TEXT NOT NULL,
        seen_at REAL NOT NULL,
        body TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE leader (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        holder TEXT NOT NULL,
        until REAL NOT NULL,
        demand INTEGER NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT ''
    )
    """,
)

# From each older version to the next: files of earlier releases are brought up to date when they are opened.
UPGRADES: Mapping[int, Sequence[str]] = {1: ("ALTER TABLE leader ADD COLUMN note TEXT NOT NULL DEFAULT ''",)}


def ensure(connection: sqlite3.Connection, file: str) -> None:
    """Create the tables in a new file, bring an older one up to date. Raises StorageError for anything else."""
    if _version(connection, file) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, file)  # another process may have been first
        for statement in _missing(version):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


def _missing(version: int) -> Iterator[str]:
    if version == NEW:
        yield from TABLES
        return
    for older in range(version, VERSION):
        yield from UPGRADES[older]


def _version(connection: sqlite3.Connection, file: str) -> int:
    """Of the file's tables; NEW: it has none. Raises StorageError if they are not ours, or of a later version."""
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if (application, version, tables) == (0, 0, 0):
        return NEW
    if application != APPLICATION_ID:
        message = f"database {file} belongs to another program; move it away, or choose another directory"
        raise StorageError(message)
    if not 1 <= version <= VERSION:
        message = (
            f"database {file} has schema version {version} and this program knows {VERSION}; "
            "use the newest release that ever wrote to it"
        )
        raise StorageError(message)
    return version


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
