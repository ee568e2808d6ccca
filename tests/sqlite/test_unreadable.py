"""A message's body in the table may be anything: whoever can write to the file may have written it."""

from __future__ import annotations

import time

import pytest

from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.queue import SqliteQueue
from runner.model import TaskId

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
