"""From what a user types to jobs and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from controller.selectors import select, select_one, select_task
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.errors import BadInput, NotFound
from runner.model import Job, TaskId

T = TypeVar("T")
JOBS = [
    Job("aaa111", "load", ("x",), Array.of_size(3), created_at=1.0),
    Job("aaa222", "load", ("x",), Array((range(5, 8),), total=3), created_at=2.0),
    Job("bbb333", "aaa111x", ("x",), Array.of_size(1), created_at=3.0),
]


def ask(question: Callable[[SqliteRecords], Awaitable[T]], jobs: list[Job] = JOBS) -> T:
    async def main() -> T:
        records = SqliteRecords(Database.memory(), lambda: 0.0)
        for job in jobs:
            await records.register(job)
        return await question(records)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("selector", "job_id"),
    [
        pytest.param("aaa111", "aaa111", id="an id, though it is also a prefix of a name"),
        pytest.param("bb", "bbb333", id="a unique prefix"),
        pytest.param("load", "aaa222", id="a name: its latest"),
        pytest.param("last", "bbb333", id="the last one submitted"),
    ],
)
def test_a_selector_names_one_job(selector: str, job_id: str) -> None:
    assert ask(lambda records: select_one(records, selector)).job.id == job_id


def test_all_names_every_job() -> None:
    assert len(ask(lambda records: select(records, "all"))) == 3


def test_an_ambiguous_prefix_is_refused_with_the_candidates() -> None:
    with pytest.raises(BadInput, match=r"aaa222 \(load\), aaa111 \(load\)"):
        ask(lambda records: select_one(records, "aaa"))


@pytest.mark.parametrize("selector", ["zzz", "", "%", "a*", "aaa111/0/0"])
def test_what_names_nothing_is_not_found(selector: str) -> None:
    with pytest.raises(NotFound):
        ask(lambda records: select_one(records, selector))


def test_last_of_nothing_is_not_found() -> None:
    with pytest.raises(NotFound, match="no job was submitted yet"):
        ask(lambda records: select_one(records, "last"), [])


def test_a_task_is_named_by_job_and_index() -> None:
    assert ask(lambda records: select_task(records, "load/6"))[1] == TaskId("aaa222", 6)


def test_the_task_of_a_single_job_needs_no_index() -> None:
    assert ask(lambda records: select_task(records, "bbb"))[1] == TaskId("bbb333", 0)


def test_an_array_needs_an_index() -> None:
    with pytest.raises(BadInput, match="has 3 tasks"):
        ask(lambda records: select_task(records, "load"))


def test_an_index_the_array_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match="has no task 0"):
        ask(lambda records: select_task(records, "load/0"))


def test_an_index_of_thousands_of_digits_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"has no task 9{30}$"):
        ask(lambda records: select_task(records, "load/" + "9" * 5000))


@pytest.mark.parametrize("index", ["x", "-1", "", "٣", "1e3"])
def test_an_index_is_a_number(index: str) -> None:
    with pytest.raises(BadInput, match="an index is a number"):
        ask(lambda records: select_task(records, f"load/{index}"))
