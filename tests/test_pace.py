"""How long a job's tasks take."""

from __future__ import annotations

import math

from controller.pace import Pace, Paces, plain_pace
from runner.records import Counts, JobRecord
from tests.fleets import job_of, record_of

SIZE = 10_000


def at(ended: int, running: int, seconds: float = 0.0, round: int = 1) -> JobRecord:  # noqa: A002  # the field's name
    counts = Counts(runnable=SIZE - ended - running, running=running, succeeded=ended)
    return record_of(job_of("a", SIZE), counts, round=round, task_seconds=seconds)


def followed(*seen: tuple[float, JobRecord]) -> Pace:
    paces, found = Paces(), {"a": Pace()}
    for now, record in seen:
        found = dict(paces.observe([record], now))
    return found["a"]


def test_in_the_first_round_all_ended_tasks_count() -> None:
    assert followed((0.0, at(ended=10, running=0, seconds=50.0))) == Pace(5.0)


def test_in_a_later_round_only_those_count_that_were_seen_to_end_in_it() -> None:
    first, later = at(9500, 0, 9500.0, round=2), at(9502, 4, 9500.0 + 7200.0, round=2)
    assert followed((0.0, first)) == Pace(None)
    assert followed((0.0, first), (5.0, later)).seconds == 3600.0


def test_a_round_that_begins_forgets_the_one_before() -> None:
    before, after = at(9500, 4, 9500.0, round=2), at(9500, 4, 9600.0, round=3)
    assert followed((0.0, before), (600.0, after)) == Pace(None)


def test_while_none_of_those_that_run_ends_they_grow_older() -> None:
    stuck = at(9500, 4, 9500.0)
    assert followed((0.0, stuck), (300.0, stuck)).at_least == 300.0


def test_while_some_of_those_that_began_then_still_run_one_is_as_old() -> None:
    assert followed((0.0, at(100, 4)), (300.0, at(103, 4))).at_least == 300.0


def test_once_as_many_ended_as_had_begun_nothing_is_known_to_be_old() -> None:
    assert followed((0.0, at(100, 4)), (300.0, at(104, 4))).at_least == 0.0


def test_what_does_not_run_does_not_grow_older() -> None:
    assert followed((0.0, at(100, 4)), (300.0, at(100, 0)), (600.0, at(100, 4))).at_least == 0.0


def test_a_record_by_itself_tells_how_long_the_first_tasks_have_run() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=9, running=1), first_started_at=100.0)
    assert plain_pace(record, 250.0) == Pace(None, 150.0)


def test_in_a_later_round_a_record_by_itself_tells_nothing() -> None:
    record = record_of(
        job_of("a", 10), Counts(runnable=8, running=1, succeeded=1), first_started_at=100.0, round=2
    )
    assert plain_pace(record, 250.0) == Pace()


def released(job_id: str, at_: float | None, queue: str = "default") -> JobRecord:
    return record_of(job_of(job_id, 1, queue=queue), Counts(runnable=1), released_at=at_)


def apart(*looks: list[JobRecord]) -> float:
    """Of the first job of the latest look."""
    paces = Paces()
    found = [paces.observe(jobs, 0.0) for jobs in looks]
    return found[-1][looks[-1][0].job.id].apart


def test_of_one_job_nobody_knows_when_the_next_comes() -> None:
    assert apart([released("a", 100.0)], [released("a", 100.0)]) == math.inf


def test_how_far_apart_jobs_come_is_remembered_when_they_have_ended() -> None:
    assert apart([released("a", 100.0)], [], [released("b", 700.0)], [released("c", 1100.0)]) == 500.0


def test_jobs_that_wait_for_others_have_not_come_yet() -> None:
    assert apart([released("a", 100.0), released("b", None)]) == math.inf


def test_a_new_controller_takes_them_in_their_order() -> None:
    assert apart([released(name, at_) for name, at_ in (("c", 900.0), ("a", 100.0), ("b", 500.0))]) == 400.0


def test_jobs_of_other_queues_do_not_count() -> None:
    assert apart([released("a", 100.0), released("b", 700.0, queue="other")]) == math.inf


def test_what_was_long_ago_is_forgotten() -> None:
    looks = [[released(f"job{at_}", float(at_))] for at_ in (0, 50_000, *range(100_000, 101_000, 100))]
    assert apart(*looks) == 100.0
