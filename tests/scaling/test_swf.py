"""Reading traces in the Standard Workload Format."""

from __future__ import annotations

import pytest

from controller.simulation.model import swf
from runner.errors import BadInput

GIB = 1024**3
HEAD = "; Version: 2.2\n; MaxNodes: 128\n\n"


def job(
    number: int,
    submitted: float,
    ran: float,
    processors: int,
    *,
    memory: float = -1,
    user: int = 7,
    program: int = 3,
) -> str:
    return f"{number} {submitted} -1 {ran} {processors} -1 {memory} -1 -1 -1 1 {user} 1 {program} -1 -1 -1 -1"


def read(*lines: str, span: swf.Span = swf.ALL) -> list[tuple[float, list[float]]]:
    return [(bag.arrival, list(bag.durations)) for bag in swf.bags([HEAD, *lines], span)]


def test_a_job_on_some_processors_is_as_many_tasks() -> None:
    assert read(job(1, 100, 60, 3)) == [(0.0, [60.0, 60.0, 60.0])]


def test_time_begins_with_the_first_job() -> None:
    assert [at for at, _ in read(job(1, 1000, 5, 1), job(2, 1600, 5, 1))] == [0.0, 600.0]


def test_jobs_that_are_not_in_order_are_put_in_order() -> None:
    assert [seconds for _, seconds in read(job(2, 900, 2, 1), job(1, 100, 1, 1))] == [[1.0], [2.0]]


def test_jobs_that_never_ran_are_left_out() -> None:
    assert read(job(1, 0, -1, 4), job(2, 5, 0, 4), job(3, 9, 10, -1), job(4, 20, 10, 1)) == [(0.0, [10.0])]


def test_a_span_is_cut_out() -> None:
    jobs = [job(at, 100 * at, 10, 1) for at in range(10)]
    assert [at for at, _ in read(*jobs, span=swf.Span(300, 500))] == [0.0, 100.0]


def test_what_one_user_ran_before_has_the_same_name() -> None:
    names = [
        bag.name
        for bag in swf.bags(
            [job(1, 0, 1, 1), job(2, 1, 1, 1), job(3, 2, 1, 1, user=8), job(4, 3, 1, 1, program=4)]
        )
    ]
    assert names == ["7-3", "7-3", "8-3", "7-4"]


def test_memory_is_what_was_used_for_each_processor() -> None:
    known, unknown = swf.bags([job(1, 0, 1, 1, memory=2 * 1024**2), job(2, 1, 1, 1)])
    assert (known.memory, unknown.memory) == (2 * GIB, GIB)


@pytest.mark.parametrize("line", ["1 2 3", "a " * 18, "nan " * 18, "inf " * 18, "{}"])
def test_what_is_no_job_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(BadInput, match=r"week\.swf:3: not a job"):
        swf.bags([job(1, 0, 1, 1), "", line], file="week.swf")


def test_a_trace_is_known_by_its_first_job() -> None:
    assert swf.is_trace([HEAD, job(1, 0, 1, 1)])
    assert not swf.is_trace(["name: a-job", "command: [x]"])
    assert not swf.is_trace(["; only comments"])
