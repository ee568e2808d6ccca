"""What the unfinished jobs ask for, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from controller.demand import Load, by_channel, demand_of, loads, waiting_by_channel
from controller.depths import Believed
from controller.pace import Pace
from runner.model import Status
from runner.records import Backlog, Counts, Ending, JobRecord
from runner.routing import Routes
from tests.fleets import GIB, environment, job_of, on_demand, record_of, routes_of

ROUTES = routes_of(
    environment("small", "m6i.large"), on_demand("steady", "m6i.large"), environment("large", "r6i.4xlarge")
)
SMALL, LANE, LARGE = "default.2x8", "default.2x8.od", "default.16x128"


def depths(**totals: int) -> Mapping[str, Backlog]:
    return {
        {"small": SMALL, "lane": LANE, "large": LARGE}[name]: Backlog(total, 0, 0, 0.0)
        for name, total in totals.items()
    }


def asked(*records: JobRecord, routes: Routes = ROUTES, **totals: int) -> Mapping[str, int]:
    return by_channel(loads(records, routes, depths(**totals), {}, 0.0))


def test_tasks_that_wait_and_that_run_both_count() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=4, running=3, succeeded=3))
    assert asked(record, small=7) == {SMALL: 7}


def test_tasks_that_were_not_sent_yet_count() -> None:
    assert asked(record_of(job_of("a", 1000), queued=100), small=100) == {SMALL: 1000}


def test_a_job_that_waits_for_others_asks_for_nothing() -> None:
    assert asked(record_of(job_of("a", 5), Counts(pending=5), released_at=None)) == {}


def test_of_a_job_that_is_cancelled_only_what_still_runs_counts() -> None:
    ending = Ending(Status.CANCELLED, "x", 0.0)
    record = record_of(job_of("a", 5), Counts(running=2, cancelled=3), ending=ending)
    assert demand_of(record) == 2


def test_messages_of_jobs_that_are_over_ask_for_nothing() -> None:
    assert asked(small=500) == {}


def test_jobs_of_a_queue_that_is_gone_ask_for_nothing() -> None:
    assert asked(record_of(job_of("a", 5, queue="gone"))) == {}


def test_tasks_that_came_to_another_channel_count_there() -> None:
    assert asked(record_of(job_of("a", 10)), small=7, large=3) == {SMALL: 7, LARGE: 3}


def test_tasks_that_moved_to_a_larger_class_are_taken_to_need_all_of_its_machine() -> None:
    found = loads([record_of(job_of("a", 10))], ROUTES, depths(small=7, large=3), {}, 0.0)
    assert {load.memory for load in found if load.channel == LARGE} == {ROUTES.holds(LARGE).memory}


def test_tasks_that_moved_to_the_lane_of_their_class_need_what_they_did() -> None:
    found = loads([record_of(job_of("a", 10))], ROUTES, depths(small=7, lane=3), {}, 0.0)
    assert [(load.channel, load.tasks, load.memory) for load in found] == [(SMALL, 7, GIB), (LANE, 3, GIB)]


def test_counts_that_are_late_move_nothing() -> None:
    assert asked(record_of(job_of("a", 10)), small=0, large=0) == {SMALL: 10}


def test_duplicates_add_nothing() -> None:
    assert asked(record_of(job_of("a", 10)), small=14) == {SMALL: 10}


def test_what_was_not_sent_yet_cannot_have_moved() -> None:
    record = record_of(job_of("a", 1000), queued=5)
    assert asked(record, small=5, large=9) == {SMALL: 1000}


def test_how_long_tasks_take_is_what_the_ended_ones_took() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=6, succeeded=3, failed=1), task_seconds=20.0)
    (load,) = loads([record], ROUTES, {}, {"a": 99.0}, 0.0)
    assert load.seconds == 5.0


def test_before_any_has_ended_it_is_what_an_earlier_job_of_the_name_took() -> None:
    (load,) = loads([record_of(job_of("a", 10))], ROUTES, {}, {"a": 99.0}, 0.0)
    assert load.seconds == 99.0


def test_without_any_such_job_only_how_long_they_have_run_is_known() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=9, running=1), first_started_at=100.0)
    (load,) = loads([record], ROUTES, {}, {}, 250.0)
    assert (load.seconds, load.at_least) == (None, 150.0)


def test_no_more_of_a_job_may_run_than_it_allows() -> None:
    (load,) = loads([record_of(job_of("a", 100, max_parallel=3))], ROUTES, {}, {}, 0.0)
    assert (load.tasks, load.parallel) == (100, 3)


def test_what_was_left_waits_for_somebody_though_the_ledger_has_it_as_running() -> None:
    record = record_of(job_of("a", 5), Counts(runnable=2, running=3))
    (load,) = loads([record], ROUTES, {}, {}, 0.0, believed=Believed(left={SMALL: 1}))
    assert (load.tasks, load.running, load.waiting) == (5, 2, 3)


SIZES = st.integers(0, 50)


@given(st.lists(st.tuples(SIZES, SIZES, st.sampled_from([1.0, 60.0])), max_size=5), SIZES, SIZES, SIZES)
def test_whatever_the_queue_says_the_ledgers_total_stands(
    jobs: list[tuple[int, int, float]], small: int, lane: int, large: int
) -> None:
    records = [
        record_of(
            job_of(f"j{at}", max(1, waiting), gib=gib), Counts(runnable=waiting), queued=min(sent, waiting)
        )
        for at, (waiting, sent, gib) in enumerate(jobs)
    ]
    found = loads(records, ROUTES, depths(small=small, lane=lane, large=large), {}, 0.0)
    assert sum(load.tasks for load in found) == sum(demand_of(record) for record in records)
    assert all(0 < load.parallel <= load.tasks and 0 <= load.sent <= load.tasks for load in found)


# What waits, and what waits out of sight


def of_channel(channel: str, *records: JobRecord, believed: Believed, **depth: Backlog) -> list[Load]:
    known = {{"small": SMALL, "lane": LANE, "large": LARGE}[name]: each for name, each in depth.items()}
    found = loads(records, ROUTES, known, {}, 0.0, believed=believed)
    return [load for load in found if load.channel == channel]


def test_tasks_that_could_begin_wait() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=7, running=3))
    assert waiting_by_channel(loads([record], ROUTES, {}, {}, 0.0)) == {SMALL: 7}


def test_what_was_sent_and_is_not_to_be_seen_for_long_does_not_wait() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=7, running=3), queued=8)
    found = loads([record], ROUTES, {}, {}, 0.0, believed=Believed(quiet={SMALL}))
    assert waiting_by_channel(found) == {SMALL: 2}  # those that were not sent yet


def test_what_must_not_run_beside_a_task_that_waits_for_its_next_try_does_not_wait_either() -> None:
    record = record_of(job_of("a", 10, max_parallel=1), queued=1)
    found = loads([record], ROUTES, {}, {}, 0.0, believed=Believed(quiet={SMALL}))
    assert waiting_by_channel(found) == {}


def test_of_tasks_that_came_to_another_channel_those_that_run_do_not_wait() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=6, running=4))
    moved = Believed({SMALL: -3, LARGE: 3})
    depths = {"small": Backlog(5, 2, 0, 0.0), "large": Backlog(1, 2, 0, 0.0)}
    (there,) = of_channel(LARGE, record, believed=moved, **depths)
    (here,) = of_channel(SMALL, record, believed=moved, **depths)
    assert (there.tasks, there.running, there.waiting) == (3, 2, 1)
    assert (here.tasks, here.running, here.waiting) == (7, 2, 5)


def test_of_tasks_that_came_to_another_channel_those_out_of_sight_do_not_wait() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=8, running=2))
    depths = {"small": Backlog(5, 2, 0, 0.0), "large": Backlog(1, 0, 2, 0.0)}
    (there,) = of_channel(LARGE, record, believed=Believed({SMALL: -3, LARGE: 3}), **depths)
    assert (there.running, there.hidden, there.waiting) == (0, 2, 1)


def test_tasks_that_left_are_counted_on_one_channel_only() -> None:
    moved = Believed({SMALL: -3, LANE: 3, LARGE: 3})
    found = loads(
        [record_of(job_of("a", 10))], ROUTES, depths(small=7, lane=3, large=3), {}, 0.0, believed=moved
    )
    assert by_channel(found) == {SMALL: 7, LANE: 3}


# How long tasks take, in later rounds


def test_what_earlier_rounds_took_says_nothing_of_the_tasks_that_are_left() -> None:
    record = record_of(
        job_of("a", 10_000), Counts(runnable=500, succeeded=9500), round=2, task_seconds=10_000.0
    )
    (load,) = loads([record], ROUTES, {}, {"a": 1.0}, 0.0)
    assert load.seconds is None


def test_what_was_seen_to_end_in_this_round_does() -> None:
    record = record_of(job_of("a", 10), Counts(runnable=5, succeeded=5), round=2, task_seconds=5.0)
    (load,) = loads([record], ROUTES, {}, {}, 0.0, paces={"a": Pace(3600.0, 20.0)})
    assert (load.seconds, load.at_least) == (3600.0, 20.0)
