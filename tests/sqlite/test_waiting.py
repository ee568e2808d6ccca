"""Waiting for messages: no longer than needed, and at next to no cost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from controller.simulation import clock as virtual_time
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.group import T, Work
from runner.adapters.sqlite.queue import SqliteQueue
from runner.model import TaskId

TASK = TaskId("job-1", 0)


def test_a_hidden_message_ends_a_wait_when_it_shows() -> None:
    async def scenario() -> float:
        queue = SqliteQueue(Database.memory(), virtual_time.now, {"default": 0})
        loop = asyncio.get_running_loop()
        start = loop.time()
        await queue.send("default", [TASK], delay=17.0)
        assert await queue.receive(1, wait=1000.0, hide=1.0)
        return loop.time() - start

    assert 17.0 <= virtual_time.run(scenario()) < 17.1


class CountingLoop(virtual_time.VirtualTimeLoop):
    jumps = 0

    def jump(self, seconds: float) -> None:
        self.jumps += 1
        super().jump(seconds)


def test_a_day_of_waiting_in_virtual_time_takes_few_steps() -> None:
    async def scenario() -> None:
        queue = SqliteQueue(Database.memory(), virtual_time.now, {"default": 0})
        assert not await queue.receive(1, wait=86_400.0, hide=1.0)

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario())
    assert loop.time() >= 86_400.0
    assert loop.jumps < 20


def test_what_one_receiver_releases_another_gets() -> None:
    async def scenario() -> None:
        database = Database.memory()
        one, other = (SqliteQueue(database, virtual_time.now, {"default": 0}) for _ in range(2))
        await one.send("default", [TASK])
        (lease,) = await one.receive(1, wait=0.0, hide=1000.0)
        waiting = asyncio.create_task(other.receive(1, wait=500.0, hide=1.0))
        await asyncio.sleep(5.0)
        await one.release(lease, delay=7.0)
        await waiting
        assert 12.0 <= asyncio.get_running_loop().time() < 12.1

    virtual_time.run(scenario())


class WatchedDatabase(Database):
    looks = 0

    def peek(self, work: Work[T]) -> T:
        self.looks += 1
        return super().peek(work)


async def test_an_idle_receiver_looks_twenty_times_a_second_at_most(tmp_path: Path) -> None:
    database = await WatchedDatabase.open(tmp_path / "runner.db")
    await SqliteQueue(database, time.time, {"default": 0}).receive(1, wait=1.0, hide=1.0)
    await database.close()
    assert 2 <= database.looks <= 22


async def test_a_receive_cancelled_under_way_gives_back_what_it_took(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "runner.db")
    queue = SqliteQueue(database, time.time, {"default": 0})
    await queue.send("default", [TASK])
    receiving = asyncio.create_task(queue.receive(1, wait=0.0, hide=1000.0))
    for _ in range(2):  # asked for; statement run, and the commit on its way to the disk
        await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    (lease,) = await queue.receive(1, wait=0.0, hide=1.0)
    await database.close()
    assert receiving.cancelled()
    assert lease.receives == 1


async def test_an_idle_receiver_writes_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "runner.db")
    log = tmp_path / "runner.db-wal"
    before = await asyncio.to_thread(log.stat)
    queue = SqliteQueue(database, time.time, {"default": 0})
    await queue.receive(1, wait=0.3, hide=1.0)
    after = await asyncio.to_thread(log.stat)
    await database.close()
    assert after.st_mtime_ns == before.st_mtime_ns
