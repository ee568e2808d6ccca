"""How many tasks of each job may be on the queue: enough to keep agents busy, and no more than a fair share."""

from __future__ import annotations

from controller.scheduling import FIRST, LEAST, depth, windows
from runner.records import Counts, JobRecord
from tests.fleets import environment, job_of, record_of, routes_of

ROUTES = routes_of(environment("small", "m6i.large"), environment("large", "r6i.4xlarge"))


def running(name: str, at_once: int, seconds: float, tasks: int = 100_000, **more: object) -> JobRecord:
    """A job of which so many tasks run, and took so long."""
    done = 100
    counts = Counts(runnable=tasks - at_once - done, running=at_once, succeeded=done)
    return record_of(job_of(name, tasks, **more), counts, task_seconds=done * seconds)


def waiting(name: str, tasks: int = 100_000, **more: object) -> JobRecord:
    return record_of(job_of(name, tasks, **more), queued=0)


def test_a_new_job_has_a_first_window() -> None:
    assert depth(waiting("a")) == FIRST


def test_of_long_tasks_few_are_ahead() -> None:
    assert depth(running("a", at_once=10, seconds=3600)) == 2 * 10 + LEAST


def test_of_short_tasks_as_many_are_ahead_as_are_taken_in_a_minute() -> None:
    assert depth(running("a", at_once=10, seconds=0.5)) == 10 + 60 * 20


def test_tasks_of_no_time_at_all_fill_the_window() -> None:
    assert windows([running("a", at_once=10, seconds=0.0)], ROUTES, 5000) == {"a": 5000}


def test_what_runs_is_never_more_than_half_of_what_may() -> None:
    assert depth(running("a", at_once=3000, seconds=36_000)) >= 6000


def test_jobs_of_one_channel_share_its_window() -> None:
    jobs = [running(name, at_once=100, seconds=0.01) for name in "abcd"]
    assert windows(jobs, ROUTES, 4000) == dict.fromkeys("abcd", 1000)


def test_jobs_of_another_channel_take_nothing_away() -> None:
    jobs = [running("a", 100, 0.01), running("b", 100, 0.01, gib=60.0)]
    assert windows(jobs, ROUTES, 4000) == {"a": 4000, "b": 4000}


def test_each_of_very_many_jobs_still_has_a_few() -> None:
    jobs = [waiting(f"j{number}") for number in range(500)]
    assert set(windows(jobs, ROUTES, 5000).values()) == {LEAST}


def test_jobs_that_ask_for_nothing_do_not_count() -> None:
    over = record_of(job_of("over", 5), Counts(succeeded=5))
    held = record_of(job_of("held", 5), Counts(pending=5), released_at=None)
    assert windows([over, held, running("a", 100, 0.01)], ROUTES, 4000) == {"a": 4000}


def test_a_job_whose_queue_is_gone_sends_nothing() -> None:
    assert windows([waiting("a", queue="gone")], ROUTES, 4000) == {}
