"""Several real processes on one file, and what is left when they are killed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.model import Job, TaskId
from runner.records import Counts

pytestmark = pytest.mark.processes

TASKS = 1000


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database with a job all of whose tasks are on the queue."""
    path = tmp_path / "runner.db"
    database = await Database.open(path)
    job = Job(id="job-1", name="a-job", command=("true",), array=Array.of_size(TASKS))
    await SqliteRecords(database, time.time).register(job)
    queue = SqliteQueue(database, time.time, {"default": 0})
    await queue.send("default", [TaskId(job.id, index) for index in range(TASKS)])
    await database.close()
    return path


class Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: list[list[str]] = []

    @classmethod
    async def start(cls, path: Path, host: str, hide: float) -> Worker:
        command = (sys.executable, "-m", "tests.sqlite.worker", str(path), host, str(hide))
        return cls(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))

    async def said(self) -> list[list[str]]:
        """All it has to say, once it has ended."""
        while await self._listen():
            pass
        await self._process.wait()
        return self._said

    async def killed_after(self, lines: int) -> list[list[str]]:
        """What it could say before it was killed, at the moment when it had said so much."""
        while len(self._said) < lines and await self._listen():
            pass
        await asyncio.sleep(random.random() * 0.02)  # at any moment, not just after a line
        self._process.kill()
        return await self.said()

    async def _listen(self) -> bool:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if line:
            self._said.append(line.decode().split())
        return bool(line)


async def start(path: Path, count: int, hide: float, generation: int = 0) -> Sequence[Worker]:
    hosts = [f"host-{generation}-{number}" for number in range(count)]
    return [await Worker.start(path, host, hide) for host in hosts]


async def all_said(workers: Sequence[Worker]) -> list[list[str]]:
    return [line for said in await asyncio.gather(*(worker.said() for worker in workers)) for line in said]


async def counts(path: Path) -> Counts:
    database = await Database.open(path)
    record = await SqliteRecords(database, time.time).job("job-1")
    await database.close()
    assert record is not None
    return record.counts


async def test_processes_share_the_work_and_nothing_is_delivered_twice_while_hidden(path: Path) -> None:
    workers = await start(path, 4, hide=300.0)
    said = await all_said(workers)
    received = [int(line[1]) for line in said if line[0] == "received"]
    assert sorted(received) == list(range(TASKS))
    assert await counts(path) == Counts(succeeded=TASKS)


async def kill_all(path: Path, generation: int) -> list[list[str]]:
    """Start some workers, kill them in the middle of their work, and return what they had said till then."""
    workers = await start(path, 3, hide=0.5, generation=generation)
    killed = await asyncio.gather(*(worker.killed_after(random.randint(1, 150)) for worker in workers))
    return [line for said in killed for line in said]


async def test_what_was_acknowledged_survives_the_killing_of_everything(path: Path) -> None:
    said = [line for generation in range(4) for line in await kill_all(path, generation)]
    said += await all_said(await start(path, 2, hide=0.5, generation=9))

    assert await counts(path) == Counts(succeeded=TASKS)
    finished = [(int(line[1]), int(line[2])) for line in said if line[0] == "finished"]
    assert len(finished) == len({index for index, _ in finished})
    stored = sqlite3.connect(path).execute("SELECT idx, attempt FROM tasks").fetchall()
    assert set(finished) <= set(stored)


async def test_a_message_completed_before_the_killing_never_comes_back(path: Path) -> None:
    said = [line for generation in range(3) for line in await kill_all(path, generation)]
    said += await all_said(await start(path, 2, hide=0.5, generation=9))

    received, completed = defaultdict(list), {}
    for line in said:
        if line[0] == "received":
            received[int(line[1])].append(float(line[2]))
        elif line[0] == "completed":
            completed[int(line[1])] = float(line[2])
    assert completed
    assert not [index for index, at in completed.items() if max(received[index]) > at]


async def test_a_killed_database_is_whole(path: Path) -> None:
    await kill_all(path, 0)
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
