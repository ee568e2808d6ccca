"""From what the engine says to an Exit."""

from __future__ import annotations

from typing import Any

import pytest

from runner.adapters.docker.ending import NOTHING_MEASURED, Measured, epoch, exit_of, has_started
from runner.model import Usage


def details(code: int, **state: Any) -> dict[str, Any]:
    times = {"StartedAt": "2026-01-02T03:04:05.123456789Z", "FinishedAt": "2026-01-02T03:04:06.5Z"}
    return {"State": {"ExitCode": code, "OOMKilled": False, **times, **state}}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        ("nonsense", 0.0),
    ],
)
def test_times_are_seconds_since_the_epoch(text: str, seconds: float) -> None:
    assert epoch(text) == pytest.approx(seconds)


def test_start_and_end_are_the_engines() -> None:
    ended = exit_of(details(0), NOTHING_MEASURED, None)
    assert ended.finished_at - ended.started_at == pytest.approx(1.376543, abs=1e-5)


def test_what_was_only_made_has_not_started() -> None:
    assert not has_started(details(0, StartedAt="0001-01-01T00:00:00Z"))


@pytest.mark.parametrize(("code", "signal"), [(137, 9), (139, 11), (143, 15), (134, 6), (129, 1)])
def test_codes_that_signals_leave_are_taken_for_them(code: int, signal: int) -> None:
    ended = exit_of(details(code), NOTHING_MEASURED, None)
    assert (ended.exit_code, ended.signal) == (code, signal)


@pytest.mark.parametrize("code", [0, 1, 124, 125, 126, 127, 128, 145, 200, 255])
def test_other_codes_are_the_programs_own(code: int) -> None:
    assert exit_of(details(code), NOTHING_MEASURED, None).signal is None


def test_the_engines_word_is_evidence_of_too_much_memory() -> None:
    assert exit_of(details(137, OOMKilled=True), NOTHING_MEASURED, None).out_of_memory


def test_the_kernels_count_is_evidence_of_too_much_memory() -> None:
    assert exit_of(details(1), Measured(Usage(), oom_kills=1), None).out_of_memory


def test_sigkill_is_no_evidence_of_too_much_memory() -> None:
    assert not exit_of(details(137), NOTHING_MEASURED, None).out_of_memory


def test_a_success_in_spite_of_a_killed_child_is_a_success_with_a_warning() -> None:
    ended = exit_of(details(0, OOMKilled=True), NOTHING_MEASURED, None, "and more")
    assert (ended.exit_code, ended.out_of_memory) == (0, False)
    assert ended.warning == "and more; one of its processes was killed for want of memory"
