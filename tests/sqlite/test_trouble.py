"""A database that cannot be used says so, with its file's name and the next step."""
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.errors import StorageError
from runner.model import Job, TaskId

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "runner.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path, patience=0.3)
    yield database
    await database.close()


@pytest.fixture
def queue(database: Database) -> SqliteQueue:
    return SqliteQueue(database, time.time, {"default": 0})


@pytest.fixture
def plain_user() -> Iterator[Path]:
    """A directory in which this test, even if run as root, has only the rights of a plain user."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def tasks(count: int) -> list[TaskId]:
    return [TaskId("job-1", index) for index in range(count)]


async def make(path: Path) -> None:
    await (await Database.open(path)).close()


async def test_a_missing_directory_is_made(path: Path) -> None:
    await make(path)
    assert path.exists()


async def test_only_its_user_may_read_it(path: Path) -> None:
    await make(path)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_its_side_files_are_as_private_as_it(database: Database, path: Path) -> None:
    files = list(path.parent.iterdir())
    assert len(files) > 1
    assert not [file for file in files if file.stat().st_mode & 0o077]


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to look like one\n" * 100)
    with pytest.raises(StorageError, match=r"runner\.db is not a database of this program; move it"):
        await Database.open(path)


async def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"precious" * 1000)
    with pytest.raises(StorageError):
        await Database.open(path)
    assert path.read_bytes() == b"precious" * 1000


async def test_another_programs_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StorageError, match=r"runner\.db belongs to another program; move it"):
        await Database.open(path)


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await make(path)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StorageError, match=r"runner\.db has schema version 99 .* newest release"):
        await Database.open(path)


async def test_a_file_of_the_first_release_is_brought_up_to_date(path: Path) -> None:
    await make(path)
    older = sqlite3.connect(path)
    older.execute("ALTER TABLE leader DROP COLUMN note")
    older.execute("PRAGMA user_version = 1")
    older.close()
    database = await Database.open(path)
    records, ledger = SqliteRecords(database, time.time), SqliteLedger(database, time.time, lease=30.0)
    await records.lead("one", 60.0)
    await records.publish("one", 5, "why")
    assert (await ledger.supervision()).note == "why"
    await database.close()


async def test_a_corrupt_file_is_reported(path: Path) -> None:
    database = await Database.open(path)
    await SqliteQueue(database, time.time, {"default": 0}).send("default", tasks(5000))
    await database.close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(path.stat().st_size - 8192))
    with pytest.raises(StorageError, match=r"runner\.db is corrupt; restore a copy"):
        await receive_all(path)


async def receive_all(path: Path) -> None:
    database = await Database.open(path)
    try:
        queue = SqliteQueue(database, time.time, {"default": 0})
        while await queue.receive(100, wait=0.0, hide=60.0):
            pass
    finally:
        await database.close()


async def test_a_truncated_file_is_reported(path: Path) -> None:
    database = await Database.open(path)
    await SqliteQueue(database, time.time, {"default": 0}).send("default", tasks(5000))
    await database.close()
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StorageError, match=r"runner\.db is corrupt"):
        await receive_all(path)


async def test_a_directory_in_its_place_is_reported(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StorageError, match=r"runner\.db cannot be opened"):
        await Database.open(path)


async def test_a_file_in_the_directorys_place_is_reported(path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(StorageError, match=r"runner\.db cannot be opened: .* choose one"):
        await Database.open(path)


async def test_a_read_only_file_is_reported(plain_user: Path) -> None:
    path = plain_user / "runner.db"
    await make(path)
    path.chmod(0o400)
    with pytest.raises(StorageError, match=r"runner\.db is read-only or closed to this user; make it"):
        await Database.open(path)


async def test_a_file_one_may_not_read_is_reported(plain_user: Path) -> None:
    path = plain_user / "runner.db"
    await make(path)
    path.chmod(0o000)
    with pytest.raises(StorageError, match=r"runner\.db is read-only or closed to this user; make it"):
        await Database.open(path)


async def test_a_read_only_directory_is_reported(plain_user: Path) -> None:
    plain_user.chmod(0o500)
    with pytest.raises(StorageError, match=r"runner\.db cannot be opened: .* choose one"):
        await Database.open(plain_user / "runner.db")


async def test_a_directory_that_became_read_only_is_reported(plain_user: Path) -> None:
    path = plain_user / "runner.db"
    await make(path)
    plain_user.chmod(0o500)
    with pytest.raises(StorageError, match=r"runner\.db (is read-only|cannot be opened)"):
        await Database.open(path)


def lock(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_a_write_waits_for_anothers_lock(queue: SqliteQueue, path: Path) -> None:
    other = lock(path)
    sending = asyncio.create_task(queue.send("default", tasks(1)))
    await asyncio.sleep(0.1)
    assert not sending.done()
    other.execute("COMMIT")
    await sending
    assert await queue.receive(1, wait=0.0, hide=1.0)
    other.close()


async def test_a_lock_held_too_long_is_reported(queue: SqliteQueue, path: Path) -> None:
    other = lock(path)
    with pytest.raises(StorageError, match=r"runner\.db is locked by another process; end it if it hangs"):
        await queue.send("default", tasks(1))
    other.close()


async def test_a_long_write_reports_a_lock_as_well(queue: SqliteQueue, path: Path) -> None:
    other = lock(path)
    with pytest.raises(StorageError, match="is locked"):
        await queue.send("default", tasks(1000))
    other.close()


async def test_a_lock_does_not_hold_up_the_event_loop(queue: SqliteQueue, path: Path) -> None:
    other = lock(path)
    sending = asyncio.create_task(queue.send("default", tasks(1)))
    loop, latest, longest = asyncio.get_running_loop(), 0.0, 0.0
    while not sending.done():
        latest = loop.time()
        await asyncio.sleep(0.001)
        longest = max(longest, loop.time() - latest)
    assert longest < 0.2
    with pytest.raises(StorageError):
        await sending
    other.close()


async def test_reads_do_not_mind_a_lock(database: Database, path: Path) -> None:
    other = lock(path)
    assert await SqliteRecords(database, time.time).jobs() == []
    other.close()


async def test_after_a_lock_was_reported_everything_works_again(queue: SqliteQueue, path: Path) -> None:
    other = lock(path)
    with pytest.raises(StorageError):
        await queue.send("default", tasks(1))
    other.close()
    await queue.send("default", tasks(3))
    assert len(await queue.receive(10, wait=0.0, hide=1.0)) == 3


async def test_opening_waits_for_a_lock_and_reports_it(path: Path) -> None:
    await make(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match=r"runner\.db is locked by another process"):
        await Database.open(path, patience=0.2)
    other.close()


async def test_a_file_that_became_read_only_is_reported(database: Database, queue: SqliteQueue) -> None:
    await database.write(lambda connection: connection.execute("PRAGMA query_only = ON").fetchall())
    with pytest.raises(StorageError, match=r"runner\.db is read-only; make the file and its directory"):
        await queue.send("default", tasks(1))


async def fill_up(database: Database) -> None:
    """No room for more pages from now on: what a full disk looks like to SQLite."""
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())


async def test_a_full_disk_is_reported(database: Database, queue: SqliteQueue) -> None:
    await fill_up(database)
    with pytest.raises(StorageError, match=r"runner\.db cannot grow, the disk is full; free some space"):
        await queue.send("default", tasks(5000))


async def test_a_write_to_a_full_disk_leaves_nothing_half_done(
    database: Database, queue: SqliteQueue
) -> None:
    await fill_up(database)
    with pytest.raises(StorageError):
        await queue.send("default", tasks(5000))
    assert (await queue.backlog())["default"].total == 0


async def test_a_disk_that_has_room_again_is_written_to(database: Database, queue: SqliteQueue) -> None:
    await fill_up(database)
    with pytest.raises(StorageError):
        await queue.send("default", tasks(5000))
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())
    await queue.send("default", tasks(5000))
    assert (await queue.backlog())["default"].visible == 5000


async def test_a_record_of_a_newer_program_is_reported(database: Database) -> None:
    records, ledger = SqliteRecords(database, time.time), SqliteLedger(database, time.time, 30.0)
    await records.register(Job(id="job-1", name="a-job", command=("true",), array=Array.of_size(1)))
    newer = "UPDATE jobs SET body = replace(body, '\"v\":1', '\"v\":2')"
    await database.write(lambda connection: connection.execute(newer).rowcount)
    with pytest.raises(StorageError, match=r"runner\.db holds what this program cannot read \(version 2"):
        await ledger.job("job-1")
