"""Group commit: writes share a transaction, and none of them notices."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.group import Haste


@pytest.fixture(params=["memory", "file"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.memory() if request.param == "memory" else await Database.open(tmp_path / "runner.db")
    yield database
    await database.close()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "runner.db")
    yield database
    await database.close()


class RefusedError(Exception):
    pass


def insert(connection: sqlite3.Connection, host: str) -> str:
    connection.execute("INSERT INTO hosts VALUES (?, 'life', 0, '')", (host,))
    return host


def insert_then_fail(connection: sqlite3.Connection, host: str) -> None:
    insert(connection, host)
    raise RefusedError


def hosts(connection: sqlite3.Connection) -> list[str]:
    return [host for (host,) in connection.execute("SELECT host FROM hosts ORDER BY host")]


async def write(database: Database, host: str, haste: Haste = Haste.SOON) -> str:
    return await database.write(lambda connection: insert(connection, host), haste=haste)


async def fail(database: Database, host: str) -> None:
    await database.write(lambda connection: insert_then_fail(connection, host))


@pytest.mark.parametrize("haste", list(Haste))
async def test_a_write_gives_what_its_work_returns(database: Database, haste: Haste) -> None:
    assert await write(database, "anna", haste) == "anna"
    assert await database.read(hosts) == ["anna"]


async def test_a_write_is_on_disk_when_it_is_answered(file: Database) -> None:
    await write(file, "anna")
    assert hosts(sqlite3.connect(file.file)) == ["anna"]


async def test_a_failing_write_raises_its_own_error(database: Database) -> None:
    with pytest.raises(RefusedError):
        await fail(database, "anna")


async def test_a_failing_write_leaves_nothing(database: Database) -> None:
    with pytest.raises(RefusedError):
        await fail(database, "anna")
    assert await database.read(hosts) == []


async def test_a_failing_write_does_not_undo_its_company(database: Database) -> None:
    outcomes = await asyncio.gather(
        write(database, "anna"),
        fail(database, "bert"),
        write(database, "carl"),
        fail(database, "dora"),
        write(database, "emil"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [str, RefusedError, str, RefusedError, str]
    assert await database.read(hosts) == ["anna", "carl", "emil"]


async def test_a_write_against_a_constraint_fails_alone(database: Database) -> None:
    first, second, third = await asyncio.gather(
        write(database, "anna"), write(database, "anna"), write(database, "bert"), return_exceptions=True
    )
    assert (first, third) == ("anna", "bert")
    assert isinstance(second, sqlite3.IntegrityError)


async def test_writes_asked_for_together_share_a_commit(file: Database) -> None:
    watch = sqlite3.connect(file.file)
    seen = []

    async def note(host: str) -> None:
        await write(file, host)
        seen.append(len(hosts(watch)))

    await asyncio.gather(*(note(f"host-{number}") for number in range(20)))
    assert set(seen) == {20}


async def test_a_write_that_may_wait_joins_the_next_commit(file: Database) -> None:
    lazy = asyncio.create_task(write(file, "anna", Haste.WHENEVER))
    await asyncio.sleep(0)
    await write(file, "bert")
    assert lazy.done()


async def test_a_write_that_may_wait_does_not_wait_for_ever(file: Database) -> None:
    async with asyncio.timeout(5.0):
        assert await write(file, "anna", Haste.WHENEVER) == "anna"


async def test_closing_first_writes_what_was_asked_for(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "runner.db")
    writing = asyncio.gather(write(database, "anna"), write(database, "bert", Haste.WHENEVER))
    await asyncio.sleep(0)
    await database.close()
    assert list(await writing) == ["anna", "bert"]


async def test_a_write_cancelled_before_it_began_never_happens(database: Database) -> None:
    writing = asyncio.create_task(write(database, "anna"))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await write(database, "bert")
    assert await database.read(hosts) == ["bert"]


async def test_a_write_cancelled_under_way_is_over_when_its_caller_hears_of_it(file: Database) -> None:
    watch = sqlite3.connect(file.file)
    writing = asyncio.create_task(write(file, "anna"))
    for _ in range(2):  # asked for; statement run, and the commit on its way to the disk
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert writing.cancelled()
    assert hosts(watch) == ["anna"]


async def test_a_cancelled_write_does_not_disturb_its_company(database: Database) -> None:
    writes = [asyncio.create_task(write(database, f"host-{number}")) for number in range(3)]
    await asyncio.sleep(0)
    writes[1].cancel()
    done = await asyncio.gather(*writes, return_exceptions=True)
    assert (done[0], done[2]) == ("host-0", "host-2")


async def test_a_read_sees_one_state_throughout(file: Database) -> None:
    loop = asyncio.get_running_loop()

    def read_twice(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        before = hosts(connection)
        asyncio.run_coroutine_threadsafe(write(file, "anna"), loop).result()
        return before, hosts(connection)

    assert await file.read(read_twice) == ([], [])


async def test_a_long_read_holds_up_neither_writes_nor_the_loop(file: Database) -> None:
    loop = asyncio.get_running_loop()
    released = asyncio.Event()

    async def wait() -> None:
        await released.wait()

    reading = asyncio.create_task(
        file.read(lambda c: asyncio.run_coroutine_threadsafe(wait(), loop).result(timeout=30))
    )
    await asyncio.sleep(0.01)
    await write(file, "anna")
    released.set()
    await reading


async def test_a_reader_cannot_write(file: Database) -> None:
    with pytest.raises(Exception, match="readonly"):
        await file.read(lambda connection: insert(connection, "anna"))


async def test_two_memory_databases_are_two() -> None:
    one, other = Database.memory(), Database.memory()
    await write(one, "anna")
    assert await other.read(hosts) == []


async def test_several_may_create_it_at_once(tmp_path: Path) -> None:
    opened = await asyncio.gather(*(Database.open(tmp_path / "runner.db") for _ in range(6)))
    for number, database in enumerate(opened):
        await write(database, f"host-{number}")
    assert len(await opened[0].read(hosts)) == 6
    for database in opened:
        await database.close()


async def test_a_strange_path_is_just_a_path(tmp_path: Path) -> None:
    path = tmp_path / "file:x?mode=memory&'\"; %41 ü" / "runner.db"
    database = await Database.open(path)
    await write(database, "anna")
    await database.close()
    assert hosts(sqlite3.connect(path)) == ["anna"]
