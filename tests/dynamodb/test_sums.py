"""Sums of many sources: whoever counted what, together they say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.dynamodb.sums import End, Mark, Sums, pack, pack_total, total
from runner.model import Status
from tests.dynamodb.world import EPOCH, SUCCESS

ENDS = st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.RUNNABLE, None])
TASKS = st.lists(st.tuples(ENDS, st.integers(0, 2), st.integers(0, 2)), max_size=20)


def counted(tasks: Sequence[tuple[Status | None, int, int]], sources: int) -> list[Sums]:
    """Each task was begun by one source and, unless it runs, ended by one."""
    found = [Sums() for _ in range(sources)]
    for index, (status, beginner, ender) in enumerate(tasks):
        found[beginner % sources].begin(index, 1, EPOCH + index)
        if status is not None:
            found[ender % sources].end(End(index, 1, status, 1, SUCCESS, EPOCH))
    return found


@given(TASKS)
def test_it_does_not_matter_who_counts(tasks: list[tuple[Status | None, int, int]]) -> None:
    together = total(map(pack, counted(tasks, 3)), 1, 100)
    alone = total(map(pack, counted(tasks, 1)), 1, 100)
    # Who begins what another ends does not learn of it: what may be running is looked up.
    assert replace(together, active=(), first=None) == replace(alone, active=(), first=None)
    assert set(together.active) >= set(alone.active)


@given(TASKS)
def test_every_task_is_counted_as_what_it_is(tasks: list[tuple[Status | None, int, int]]) -> None:
    found = total(map(pack, counted(tasks, 3)), 1, 100)
    ends = [status for status, _, _ in tasks]
    assert (found.running, found.succeeded) == (ends.count(None), ends.count(Status.SUCCEEDED))
    assert (found.failed, found.cancelled) == (ends.count(Status.FAILED), ends.count(Status.CANCELLED))


def test_failures_of_an_earlier_round_do_not_count_in_this() -> None:
    assert total([pack(each) for each in counted([(Status.FAILED, 0, 0)], 1)], 2, 10).failed == 0


def test_they_count_as_ended_earlier() -> None:
    ends: list[tuple[Status | None, int, int]] = [
        (Status.FAILED, 0, 0),
        (Status.CANCELLED, 0, 1),
        (None, 0, 0),
    ]
    found = [total(map(pack, counted(ends, 2)), round_, 10).earlier for round_ in (1, 2)]
    assert found == [0, 2]


def test_sums_of_a_job_that_is_over_tell_what_had_ended_earlier() -> None:
    before = total([pack(each) for each in counted([(Status.FAILED, 0, 0)], 1)], 2, 10)
    assert total([pack_total(before, 2)], 2, 10).earlier == 1


def test_what_a_dead_source_never_said_makes_no_more_tasks_run_than_are_left() -> None:
    lost = [(None, 0, 0), (None, 0, 0), (Status.SUCCEEDED, 0, 0)]
    found = total(map(pack, counted(lost, 1)), 1, 2)
    assert (found.running, found.short) == (1, True)


@given(TASKS.map(lambda tasks: [task for task in tasks if task[0]]))
def test_the_sums_of_a_job_that_is_over_say_the_same(tasks: list[tuple[Status | None, int, int]]) -> None:
    before = total(map(pack, counted(tasks, 3)), 1, len(tasks))
    after = total([pack_total(before, 1)], 1, len(tasks))
    assert after == before


def test_a_mark_tells_its_source() -> None:
    assert Mark("ledger-1-2.17").source == "ledger-1-2"
