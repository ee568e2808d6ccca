"""What a restarted agent knows of the one that was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.agent import journal as module
from runner.agent.journal import Journal
from runner.model import Attempt, Lease, TaskId


def an_entry(index: int) -> tuple[Lease, Attempt]:
    task = TaskId("job", index)
    return Lease(task, "default", f"m{index}", f"t{index}", 1, 0.0), Attempt(task, 3, 2, "h#1", 99, 1, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host" / "journal"


def test_what_was_begun_and_not_ended_is_found_again_exactly(path: Path) -> None:
    journal = Journal(path)
    journal.begun(*an_entry(1))
    assert Journal(path).left == [an_entry(1)]


def test_what_was_ended_is_not_found_again(path: Path) -> None:
    journal = Journal(path)
    journal.begun(*an_entry(1))
    journal.begun(*an_entry(2))
    journal.ended(an_entry(1)[1])
    assert Journal(path).left == [an_entry(2)]


def test_a_second_death_during_recovery_finds_the_same(path: Path) -> None:
    Journal(path).begun(*an_entry(1))
    Journal(path)
    assert Journal(path).left == [an_entry(1)]


def test_a_torn_last_line_is_passed_over(path: Path) -> None:
    Journal(path).begun(*an_entry(1))
    with path.open("ab") as file:
        file.write(b'{"begun": "job/2#1", "le')
    assert Journal(path).left == [an_entry(1)]


def test_a_file_of_anything_is_passed_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'\x00\xff\n[]\n{"begun": 3}\n"ended"\n{"ended": []}\n')
    assert Journal(path).left == []


def test_it_does_not_grow_with_the_work_done(path: Path) -> None:
    journal = Journal(path)
    journal.begun(*an_entry(0))
    for index in range(1, 40_000):
        journal.begun(*an_entry(index))
        journal.ended(an_entry(index)[1])
    assert path.stat().st_size < module.COMPACT_AFTER + 10_000
    assert Journal(path).left == [an_entry(0)]
