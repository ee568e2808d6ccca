"""What must not depend on how large a job is, or how many there are.

Work is counted in the steps of SQLite's virtual machine, which unlike time are the same on every computer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from runner.adapters.sqlite import cursor, jobs, listing
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.model import Job, Status
from runner.records import Ending

T = TypeVar("T")

JOB = Job(id="job-1", name="a-job", command=("true",), array=Array.of_size(1))


@pytest.fixture
def connection() -> sqlite3.Connection:
    return Database.memory().peek(lambda connection: connection)


def add_job(connection: sqlite3.Connection, size: int, succeeded: int, failed: int, running: int = 0) -> Job:
    """A job as `size` tasks leave it: first the failed, then the running, then the succeeded; all of them sent."""
    number = connection.execute("SELECT count(*) + 1 FROM jobs").fetchone()[0]
    job = replace(JOB, id=f"job-{number}", array=Array.of_size(size))
    jobs.register(connection, job=job)
    statuses = ["FAILED"] * failed + ["RUNNING"] * running + ["SUCCEEDED"] * succeeded
    connection.executemany(
        "INSERT INTO tasks (job, idx, status, round, attempt, tries, owner, begun_at) VALUES (?, ?, ?, 1, 1, 1, '', 0)",
        [(number, index, status) for index, status in enumerate(statuses)],
    )
    connection.execute(
        "UPDATE progress SET sent = size, succeeded = ?, failed = ?, over = ? WHERE job = ?",
        (succeeded, failed, succeeded + failed == size, number),
    )
    return job


def effort(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], object]) -> int:
    """Steps of SQLite's machine, in tens."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(step, 10)
    work(connection)
    connection.set_progress_handler(None, 0)
    return steps


def efforts(work: Callable[[sqlite3.Connection, Job], object], **job: int) -> tuple[int, int]:
    """What `work` costs on a job with a hundred successes, and on one with ten thousand."""
    found = []
    for succeeded in (100, 10_000):
        connection = Database.memory().peek(lambda connection: connection)
        others = sum(job.values())
        added = add_job(connection, succeeded + others, succeeded, **{"failed": 0, **job})
        found.append(effort(connection, lambda c, added=added: work(c, added)))  # type: ignore[misc]
    return found[0], found[1]


def test_a_jobs_record_costs_the_same_however_many_tasks_it_has() -> None:
    small, large = efforts(lambda c, job: jobs.record(c, job_id=job.id), failed=3, running=3)
    assert large <= small + 2


def test_looking_for_failures_costs_the_same_however_many_succeeded() -> None:
    page = listing.Page({Status.FAILED, Status.RUNNING}, -1, 100)
    small, large = efforts(lambda c, job: listing.tasks(c, job_id=job.id, page=page), failed=5, running=2)
    assert large <= small + 2


def test_a_page_of_failures_costs_the_same_however_many_failed() -> None:
    found = []
    for failed in (200, 10_000):
        connection = Database.memory().peek(lambda connection: connection)
        job = add_job(connection, failed, 0, failed)
        page = listing.Page({Status.FAILED}, 50, 100)
        found.append(
            effort(connection, lambda c, job=job, page=page: listing.tasks(c, job_id=job.id, page=page))  # type: ignore[misc]
        )
    assert found[1] <= found[0] + 2


def test_nothing_outstanding_of_a_job_that_is_over_costs_nothing_to_find_out() -> None:
    small, large = efforts(lambda c, job: cursor.outstanding(c, job_id=job.id, limit=10, after=-1))
    assert large <= small + 2


def test_the_unfinished_jobs_are_found_without_looking_at_the_finished(
    connection: sqlite3.Connection,
) -> None:
    add_job(connection, 5, 1, 1)
    unfinished = jobs.Filter(unfinished=True)
    before = effort(connection, lambda c: jobs.listing(c, wanted=unfinished))
    for _ in range(500):
        add_job(connection, 1, 1, 0)
    assert effort(connection, lambda c: jobs.listing(c, wanted=unfinished)) <= before + 2


@pytest.mark.parametrize(
    "wanted",
    [
        jobs.Filter(limit=5),
        jobs.Filter(name="a-job", limit=5),
        jobs.Filter(id_prefix="job-7"),
    ],
    ids=["newest", "by name", "by prefix"],
)
def test_a_short_listing_costs_the_same_however_many_jobs_there_are(
    connection: sqlite3.Connection, wanted: jobs.Filter
) -> None:
    for _ in range(9):
        add_job(connection, 1, 1, 0)
    before = effort(connection, lambda c: jobs.listing(c, wanted=wanted))
    for _ in range(300):
        jobs.register(connection, job=replace(JOB, id=f"other-{_}"))
    assert effort(connection, lambda c: jobs.listing(c, wanted=wanted)) <= before + 12


def test_registering_a_million_tasks_costs_what_one_costs(connection: sqlite3.Connection) -> None:
    small = effort(connection, lambda c: jobs.register(c, job=replace(JOB, id="small")))
    large = replace(JOB, id="large", array=Array.of_size(1_000_000))
    assert effort(connection, lambda c: jobs.register(c, job=large)) <= small + 2


async def test_reopening_what_never_began_costs_the_same_however_many() -> None:
    found = []
    for size in (100, 1_000_000):
        database = Database.memory()
        records = SqliteRecords(database, lambda: 0.0)
        await records.register(replace(JOB, array=Array.of_size(size)))
        window = await records.unsent(JOB.id, size)
        await records.sent(JOB.id, window)
        await records.end(JOB.id, Ending(Status.CANCELLED, "", 0.0))
        before = database.peek(lambda c: c.total_changes)
        assert await records.reopen(JOB.id, 0.0) == size
        found.append(database.peek(lambda c: c.total_changes) - before)
    assert found[0] == found[1]


async def test_gaps_among_many_begun_tasks_are_found() -> None:
    database = Database.memory()
    records = SqliteRecords(database, lambda: 0.0)
    await database.write(lambda c: add_job(c, 50_000, 49_990, 0))
    missing = [0, 9_999, 10_000, 30_000, 49_989]

    def remove(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM tasks WHERE idx = ?", [(index,) for index in missing])
        connection.execute("UPDATE progress SET succeeded = succeeded - ?, over = 0", (len(missing),))

    await database.write(remove)
    assert list(await records.outstanding("job-1", 100)) == missing + list(range(49_990, 50_000))
    assert list(await records.outstanding("job-1", 3, after=9_999)) == [10_000, 30_000, 49_989]
