"""Opening the file: whoever makes it first, and whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.sqlite import schema
from runner.adapters.sqlite.connection import open_reader
from runner.adapters.sqlite.database import Database
from runner.errors import StorageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runner.db"


def making(path: Path) -> sqlite3.Connection:
    """Somebody who is about to make the tables. For this lock SQLite does not wait, whatever its timeout."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE made (x)")
    other.execute("DROP TABLE made")
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_opening_waits_for_another_who_makes_the_file(path: Path) -> None:
    other = making(path)
    opening = asyncio.create_task(Database.open(path))
    await asyncio.sleep(0.1)
    assert not opening.done()
    other.execute("COMMIT")
    other.close()
    await (await opening).close()


async def test_another_who_takes_too_long_to_make_the_file_is_reported(path: Path) -> None:
    other = making(path)
    with pytest.raises(StorageError, match=r"runner\.db is locked by another process"):
        await Database.open(path, patience=0.2)
    other.close()


class FullDisk(sqlite3.Connection):
    """No transaction fits on it; then SQLite rolls back by itself."""

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            super().execute("ROLLBACK")
            message = "database or disk is full"
            raise sqlite3.OperationalError(message)
        return super().execute(sql, *arguments)


def test_a_disk_too_full_for_the_tables_is_what_is_reported() -> None:
    full = sqlite3.connect(":memory:", factory=FullDisk, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        schema.ensure(full, "runner.db")
    full.close()


def test_a_file_that_cannot_be_read_is_reported(path: Path) -> None:
    with pytest.raises(StorageError, match=r"runner\.db cannot be opened"):
        open_reader(path.parent / "missing" / "runner.db", 0.1)


async def test_whatever_fails_on_the_way_is_reported_and_leaves_nothing_open(path: Path) -> None:
    await (await Database.open(path)).close()
    before = open_files()
    failures = 0
    for more in range(12):
        try:
            database = await open_with_room_for(before + more, path)
        except StorageError:
            failures += 1
        else:
            await database.close()
        assert open_files() == before
    assert 3 < failures < 12


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) - 1


async def open_with_room_for(files: int, path: Path) -> Database:
    with few_files(files):
        return await Database.open(path)


@contextmanager
def few_files(count: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
