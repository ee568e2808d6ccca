"""What a restarted agent knows of the one that was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.agent import journal as module
from runner.agent.journal import Journal, Left, Start, Stop
from runner.model import Attempt, Lease, TaskId
from runner.outcomes import StopCause

START = Start("this boot", 12.5)
STOP = Stop(StopCause.TIME_LIMIT, "ran longer than its limit of 5 s", 1.7e9)


def left(index: int) -> Left:
    task = TaskId("job", index)
    return Left(
        Lease(task, "default", f"m{index}", f"t{index}", 1, 0.0), Attempt(task, 3, 2, "h#1", 99, 1, 0)
    )


def begin(journal: Journal, index: int) -> Attempt:
    journal.begun(left(index).lease, left(index).attempt)
    return left(index).attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host" / "journal"


def test_what_was_begun_and_not_ended_is_found_again_exactly(path: Path) -> None:
    journal = Journal(path)
    begin(journal, 1)
    assert Journal(path).left == [left(1)]


def test_when_a_container_started_and_why_it_was_stopped_is_found_again(path: Path) -> None:
    journal = Journal(path)
    attempt = begin(journal, 1)
    journal.started(attempt, START)
    journal.stopping(attempt, STOP)
    for _ in range(2):  # also by who finds it after a second death
        assert Journal(path).left == [replace(left(1), start=START, stop=STOP)]


def test_what_is_told_of_an_attempt_that_has_ended_is_passed_over(path: Path) -> None:
    journal = Journal(path)
    attempt = begin(journal, 1)
    journal.ended(attempt)
    journal.started(attempt, START)
    journal.stopping(attempt, STOP)
    assert Journal(path).left == []
    assert "stopping" not in path.read_text()


def test_a_cause_that_nobody_knows_is_passed_over(path: Path) -> None:
    begin(Journal(path), 1)
    with path.open("a") as file:
        file.write('{"stopping": "job/1#3", "cause": "whim", "detail": "", "at": 1.0}\n')
    assert Journal(path).left == [left(1)]


def test_what_was_ended_is_not_found_again(path: Path) -> None:
    journal = Journal(path)
    begin(journal, 1)
    begin(journal, 2)
    journal.ended(left(1).attempt)
    assert Journal(path).left == [left(2)]


def test_a_second_death_during_recovery_finds_the_same(path: Path) -> None:
    begin(Journal(path), 1)
    Journal(path)
    assert Journal(path).left == [left(1)]


def test_a_torn_last_line_is_passed_over(path: Path) -> None:
    begin(Journal(path), 1)
    with path.open("ab") as file:
        file.write(b'{"begun": "job/2#1", "le')
    assert Journal(path).left == [left(1)]


def test_a_file_of_anything_is_passed_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'\x00\xff\n[]\n{"begun": 3}\n"ended"\n{"ended": []}\n')
    assert Journal(path).left == []


def test_it_does_not_grow_with_the_work_done(path: Path) -> None:
    journal = Journal(path)
    begin(journal, 0)
    for index in range(1, 40_000):
        begin(journal, index)
        journal.ended(left(index).attempt)
    assert path.stat().st_size < module.COMPACT_AFTER + 10_000
    assert Journal(path).left == [left(0)]
