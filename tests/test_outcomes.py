"""From what an engine saw to how the attempt ended."""

from __future__ import annotations

import signal

import pytest

from runner.errors import EngineUnavailable, ImageError, StartError
from runner.model import Charge, Kind
from runner.outcomes import StopCause, of_error, of_exit
from runner.ports import Exit


def an_exit(code: int | None = 0, **more: object) -> Exit:
    return Exit(code, 10.0, 12.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ended", "cause", "kind"),
    [
        pytest.param(an_exit(0), None, Kind.SUCCEEDED, id="exit 0 is success"),
        pytest.param(an_exit(1), None, Kind.FAILED, id="any other exit is the program's failure"),
        pytest.param(an_exit(124), None, Kind.FAILED, id="the program's own 124 is no time-out"),
        pytest.param(an_exit(125), None, Kind.FAILED, id="the program's own 125 is no engine error"),
        pytest.param(an_exit(126), None, Kind.FAILED, id="nor is 126"),
        pytest.param(an_exit(127), None, Kind.FAILED, id="nor is 127"),
        pytest.param(
            an_exit(137, signal=9), None, Kind.KILLED, id="137 without evidence is no out of memory"
        ),
        pytest.param(
            an_exit(137, signal=9, out_of_memory=True), None, Kind.OUT_OF_MEMORY, id="with evidence it is"
        ),
        pytest.param(
            an_exit(0, out_of_memory=True), None, Kind.SUCCEEDED, id="a child out of memory is survivable"
        ),
        pytest.param(
            an_exit(139, signal=signal.SIGSEGV), None, Kind.FAILED, id="a crash is the program's failure"
        ),
        pytest.param(an_exit(143, signal=15), None, Kind.KILLED, id="somebody else's SIGTERM kills"),
        pytest.param(an_exit(None, vanished=True), None, Kind.LOST, id="a container the engine lost is lost"),
        pytest.param(
            an_exit(0), StopCause.TIME_LIMIT, Kind.TIMED_OUT, id="exit 0 after the time limit is no success"
        ),
        pytest.param(an_exit(0), StopCause.CANCELLED, Kind.CANCELLED, id="nor after a cancel"),
        pytest.param(an_exit(0), StopCause.INTERRUPTED, Kind.INTERRUPTED, id="nor after an interruption"),
        pytest.param(an_exit(137), StopCause.LEASE_LOST, Kind.LOST, id="a lost lease is lost"),
    ],
)
def test_how_an_attempt_ended(ended: Exit, cause: StopCause | None, kind: Kind) -> None:
    assert of_exit(ended, cause).kind is kind


def test_a_failure_on_a_full_disk_is_the_disks() -> None:
    assert of_exit(an_exit(1), None, disk_trouble="only 3 MiB free").kind is Kind.DISK_FULL


def test_a_time_limit_on_a_full_disk_stays_a_time_limit() -> None:
    assert of_exit(an_exit(1), StopCause.TIME_LIMIT, disk_trouble="full").kind is Kind.TIMED_OUT


@pytest.mark.parametrize(
    ("error", "kind", "charge"),
    [
        (ImageError("no such image"), Kind.IMAGE_ERROR, None),
        (StartError("no such command"), Kind.START_ERROR, None),
        (EngineUnavailable("no answer"), Kind.START_ERROR, Charge.INFRA),
    ],
)
def test_what_an_engines_error_means(error: ImageError, kind: Kind, charge: Charge | None) -> None:
    outcome = of_error(error, 5.0)
    assert (outcome.kind, outcome.charge, outcome.reason) == (kind, charge, str(error))


def test_a_duration_counts_from_the_containers_own_start() -> None:
    assert of_exit(an_exit(0), None).duration == 2.0
