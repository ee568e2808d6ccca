"""How many tasks of each job may be on the queue: enough to keep agents busy, and no more than a fair share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from controller.ports import Records
from controller.scheduling import FEW, FIRST, depth, enqueue, first_window, shared, windows
from runner.ports import Queue
from runner.records import Counts, JobRecord, Window
from runner.routing import Routes
from runner.settings import Settings
from tests.fleets import environment, job_of, record_of, routes_of

# Twenty slots on the small ones, in all; and so many that no job could want more.
ROUTES = routes_of(environment("small", "m6i.large"), environment("large", "r6i.4xlarge"))
MANY = routes_of(environment("small", "m6i.large", maximum=10_000))
EMBEDDED = Routes.of(Settings())


def running(name: str, at_once: int, seconds: float, tasks: int = 100_000, **more: Any) -> JobRecord:
    """A job of which so many tasks run, and took so long."""
    done = 100
    counts = Counts(runnable=tasks - at_once - done, running=at_once, succeeded=done)
    return record_of(job_of(name, tasks, **more), counts, task_seconds=done * seconds)


def waiting(name: str, tasks: int = 100_000, **more: Any) -> JobRecord:
    return record_of(job_of(name, tasks, **more), queued=0)


def long(name: str, at_once: int, tasks: int = 1000, **more: Any) -> JobRecord:
    return running(name, at_once, 3600.0, tasks, **more)


# What a job could use


def test_a_new_job_has_a_first_window() -> None:
    assert depth(waiting("a"), MANY) == FIRST
    assert depth(waiting("a"), EMBEDDED) == FIRST


def test_a_first_window_is_no_more_than_twice_what_all_machines_hold() -> None:
    assert first_window(waiting("a"), ROUTES, 5000) == 40
    assert first_window(waiting("a", vcpus=2.0), ROUTES, 5000) == 20


def test_of_long_tasks_few_are_ahead() -> None:
    assert depth(long("a", at_once=1), ROUTES) == 2 * 1 + FEW


def test_of_short_tasks_as_many_are_ahead_as_are_taken_in_a_minute() -> None:
    assert depth(running("a", at_once=10, seconds=0.5), MANY) == 10 + 60 * 20


def test_of_short_tasks_that_end_faster_than_one_looks_the_next_are_enough_for_all_machines() -> None:
    assert depth(running("a", at_once=0, seconds=1.0), ROUTES) == 60 * 20
    assert first_window(running("a", at_once=0, seconds=0.01), MANY, 5000) == 5000
    assert windows([running("a", at_once=0, seconds=6.0)], ROUTES, 5000) == {"a": 200}


def test_tasks_of_no_time_at_all_fill_the_window() -> None:
    assert windows([running("a", at_once=10, seconds=0.0)], ROUTES, 5000) == {"a": 10 + 5000}


def test_with_each_step_twice_as_many_may_run() -> None:
    assert depth(running("a", at_once=3000, seconds=36_000), MANY) >= 6000


def test_how_long_tasks_took_in_an_earlier_round_does_not_count() -> None:
    again = record_of(job_of("a", 10_000), Counts(runnable=500, succeeded=9500), round=2, task_seconds=95.0)
    assert windows([again], ROUTES, 5000) == {"a": 40}


# What they share


def test_jobs_of_one_channel_share_its_window() -> None:
    jobs = [running(name, at_once=100, seconds=0.01) for name in "abcd"]
    assert windows(jobs, ROUTES, 4000) == dict.fromkeys("abcd", 100 + 1000)


def test_jobs_of_another_channel_take_nothing_away() -> None:
    jobs = [running("a", 100, 0.01), running("b", 100, 0.01, gib=60.0)]
    assert windows(jobs, ROUTES, 4000) == {"a": 100 + 4000, "b": 100 + 4000}


def test_what_runs_takes_nothing_of_the_window() -> None:
    assert windows([long("a", at_once=16_000, tasks=1_000_000)], MANY, 5000) == {"a": 16_000 + 5000}


def test_where_others_run_as_much_no_more_waits_than_the_window() -> None:
    jobs = [long("a", 16_000, 1_000_000, user="ann"), running("b", 100, 0.01, user="ben")]
    assert windows(jobs, MANY, 500)["b"] == 100 + 500


def test_of_long_tasks_as_many_wait_as_the_machines_hold() -> None:
    assert windows([long("a", at_once=20)], ROUTES, 5000) == {"a": 40}


def test_a_second_users_ten_tasks_begin_before_the_first_users_next_hundred() -> None:
    first = long("a", at_once=20, user="ann")
    sent = windows([first], ROUTES, 5000)["a"]
    both = windows([first, waiting("b", 10, user="ben")], ROUTES, 5000)
    assert both["b"] == 10
    assert sent - first.counts.running < 100  # so many are before them, whatever was sent until then
    assert both["a"] == 30


def test_one_users_fifty_jobs_get_one_share() -> None:
    jobs = [running(f"a{number}", 1, 0.01, user="ann") for number in range(50)]
    found = windows([*jobs, running("b", 50, 0.01, user="ben")], ROUTES, 4000)
    assert found["b"] == 50 + 2000
    assert {found[f"a{number}"] for number in range(50)} == {1 + 40}


def test_what_one_user_does_not_need_the_others_have() -> None:
    jobs = [long("a", 20, user="ann"), waiting("b", 1, user="ben"), waiting("c", 1, user="cid")]
    assert windows(jobs, ROUTES, 5000) == {"a": 38, "b": 1, "c": 1}


def test_who_is_not_known_is_a_user_like_others() -> None:
    jobs = [running(name, 0, 0.01, user=user) for name, user in (("a", ""), ("b", ""), ("c", "cid"))]
    assert windows(jobs, ROUTES, 1000) == {"a": 250, "b": 250, "c": 500}


def test_each_of_very_many_jobs_still_has_one() -> None:
    jobs = [waiting(f"j{number}") for number in range(500)]
    assert set(windows(jobs, ROUTES, 5000).values()) == {1}


def test_jobs_that_ask_for_nothing_do_not_count() -> None:
    over = record_of(job_of("over", 5), Counts(succeeded=5))
    held = record_of(job_of("held", 5), Counts(pending=5), released_at=None)
    assert windows([over, held, running("a", 100, 0.01)], ROUTES, 4000) == {"a": 100 + 4000}


def test_a_job_whose_queue_is_gone_sends_nothing() -> None:
    assert windows([waiting("a", queue="gone")], ROUTES, 4000) == {}


@given(st.integers(0, 200), st.dictionaries(st.text(max_size=2), st.integers(0, 100), max_size=8))
def test_a_share_is_never_more_than_is_wanted_and_never_leaves_what_another_wants(
    whole: int, wanted: Mapping[str, int]
) -> None:
    found = shared(whole, wanted)
    assert all(min(want, 1) <= found[key] <= want for key, want in wanted.items())
    total = sum(found.values())
    assert total <= max(whole, len(wanted))
    assert total == sum(wanted.values()) or total >= min(whole, sum(wanted.values()))


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1000), st.sampled_from("xyz")), max_size=8),
    st.integers(8, 5000),
)
def test_no_more_wait_than_the_window(each: Sequence[tuple[int, float, str]], window: int) -> None:
    jobs = [running(str(at), count, seconds, user=user) for at, (count, seconds, user) in enumerate(each)]
    found = windows(jobs, MANY, window)
    assert sum(max(0, found[job.job.id] - job.counts.running) for job in jobs) <= window


@given(st.lists(st.integers(1, 100), min_size=2, max_size=8), st.integers(1, 200))
def test_who_wants_more_has_no_less(wanted: Sequence[int], whole: int) -> None:
    found = shared(whole, dict(enumerate(wanted)))
    for key, want in enumerate(wanted):
        assert found[key] == want or found[key] >= max(found.values()) - 1


# How much is sent at a time


class Ledger:
    """Of one job: any number of its tasks may be sent."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def unsent(self, _job: str, most: int) -> Window:
        self.asked.append(most)
        return Window((), 0, 1)


def refilled(record: JobRecord, window: int) -> bool:
    """Whether anything was looked for to send."""
    ledger = Ledger()
    asyncio.run(enqueue(cast("Records", ledger), cast("Queue", None), record, window, MANY))
    return bool(ledger.asked)


def of_sixteen_thousand(waiting: int) -> JobRecord:
    return replace(long("a", at_once=16_000, tasks=1_000_000), queued=16_000 + waiting)


def test_where_more_run_than_may_wait_half_of_those_are_sent_at_a_time() -> None:
    assert not refilled(of_sixteen_thousand(waiting=2501), 16_000 + 5000)
    assert refilled(of_sixteen_thousand(waiting=2500), 16_000 + 5000)


def test_where_as_many_wait_as_run_a_quarter_of_all_is_sent_at_a_time() -> None:
    few = long("a", at_once=20)
    assert not refilled(replace(few, queued=31), 40)
    assert refilled(replace(few, queued=30), 40)
