"""What stands in the table may be anything: whoever can write to the file, or a newer program, may have written it."""

from __future__ import annotations

import time

import pytest

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.queue import SqliteQueue
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.errors import StorageError
from runner.model import Job, TaskId
from runner.records import HostReport

BODIES = {
    "text that is not UTF-8": "CAST(x'7bff7d' AS TEXT)",
    "bytes": "x'00ff'",
    "a number": "42",
    "text with a NUL": "CAST(x'7b007d' AS TEXT)",
}


@pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))
async def test_a_body_that_is_no_text_is_quarantined_and_others_are_received(body: str) -> None:
    database = Database.memory()
    queue = SqliteQueue(database, time.time, {"default": 0})
    insert = f"INSERT INTO messages (queue, visible_at, body) VALUES ('default', 0, {body})"
    await database.write(lambda connection: connection.execute(insert).rowcount)
    await queue.send("default", [TaskId("job-1", 7)])
    assert [lease.task.index for lease in await queue.receive(10, wait=0, hide=30)] == [7]
    kept = f"SELECT body IS CAST({body} AS TEXT) OR body IS {body}, reason FROM dead_letters"
    ((same, reason),) = database.peek(lambda connection: connection.execute(kept).fetchall())
    assert same
    assert reason


async def test_a_job_of_a_newer_version_does_not_keep_the_others_from_being_listed() -> None:
    database = Database.memory()
    records = SqliteRecords(database, time.time)
    for name in ("old", "newer"):
        await records.register(Job(name, name, ("true",), Array.of_size(1), created_at=0.0))
    newer = "UPDATE jobs SET body = '{\"v\":99}' WHERE id = 'newer'"
    await database.write(lambda connection: connection.execute(newer).rowcount)
    for listing in (records.jobs(), records.jobs(limit=1), records.tidy()):
        assert [record.job.id for record in await listing] == ["old"]
    with pytest.raises(StorageError, match="version 99"):
        await records.job("newer")


async def test_a_report_of_a_newer_version_does_not_keep_other_hosts_from_being_listed() -> None:
    database = Database.memory()
    ledger = SqliteLedger(database, time.time, 30.0)
    for host in ("old", "newer"):
        await ledger.report(HostReport(host, "1", "running", 2, 4, 2, 4, 0, (), (), 1, 0.0, 0.0))
    newer = "UPDATE hosts SET body = '{\"v\":99}' WHERE host = 'newer'"
    await database.write(lambda connection: connection.execute(newer).rowcount)
    assert [host.host for host in await SqliteRecords(database, time.time).hosts()] == ["old"]
