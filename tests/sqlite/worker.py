"""A process that works a queue off, for tests that kill it: `python -m tests.sqlite.worker DATABASE HOST HIDE`.

Says what it was told is done, as soon as it knows: `received INDEX TIME`, `finished INDEX ATTEMPT`, `completed
INDEX TIME`. Times are the machine's monotonic clock. Ends when the job is over.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.model import Attempt, Kind, Lease, Outcome, Status
from runner.records import Verdict

JOB = "job-1"


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def work(path: Path, host: str, hide: float) -> None:
    database = await Database.open(path)
    queue = SqliteQueue(database, time.time, {"default": 0})
    ledger = SqliteLedger(database, time.time, hide)
    records = SqliteRecords(database, time.time)
    job = await ledger.job(JOB)
    assert job is not None

    async def one(lease: Lease) -> None:
        begun = await ledger.begin(lease, job, f"{host}#{os.getpid()}")
        if isinstance(begun, Attempt):
            await asyncio.sleep(random.random() * 0.02)
            await ledger.finish(begun, Outcome(Kind.SUCCEEDED), Verdict(Status.SUCCEEDED))
            say("finished", lease.task.index, begun.number)
        elif begun.retry_after is not None:
            await queue.release(lease, begun.retry_after)
            return
        await queue.complete([lease])
        say("completed", lease.task.index, time.monotonic())

    while True:
        leases = await queue.receive(10, wait=0.2, hide=hide)
        for lease in leases:
            say("received", lease.task.index, time.monotonic())
        await asyncio.gather(*map(one, leases))
        record = await records.job(JOB)
        if record is None or record.status.terminal:
            break
    await database.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
