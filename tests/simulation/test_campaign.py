"""The campaign: seeds that keep every promise, and what it tells of one that does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from controller.simulation import campaign
from controller.simulation.trial import Trial, run, trial_of
from tests.simulation.mutants import DecrementsTwice

SEEDS, PER_TEST = 201, 25


@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_the_promises_are_kept_whatever_goes_wrong(first: int) -> None:
    problems = {
        f"{campaign.PROGRAM} --replay {seed}": summary.problem
        for seed in range(first, min(first + PER_TEST, SEEDS))
        if (summary := campaign.play_seed(seed)).problem
    }
    assert not problems, "\n".join(f"{again}\n{problem}" for again, problem in problems.items())


def test_a_trial_that_is_played_again_has_the_same_history() -> None:
    first, again = (run(trial_of(7)) for _ in range(2))
    assert list(map(str, first.events)) == list(map(str, again.events))


@pytest.fixture(scope="module")
def broken() -> Trial:
    """One whose plan has more than it takes to show that something is wrong."""
    trials = (trial_of(seed) for seed in range(100))
    return next(
        trial
        for trial in trials
        if len(trial.plan) > 1 and 6 in campaign.broken(run(trial.without(frozenset({0})), DecrementsTwice))
    )


def test_a_failing_seed_names_the_command_that_replays_it_and_leaves_its_log(
    broken: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = broken.seed
    assert campaign.campaign(range(seed, seed + 1), 1, tmp_path, DecrementsTwice) == 1
    told, log = capsys.readouterr().out, (tmp_path / f"seed-{seed}.log").read_text()
    assert f"{campaign.PROGRAM} --replay {seed}" in told
    assert "took more than itself from the desired capacity" in told
    assert "mischief" in log


def test_a_long_campaign_tells_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.campaign(range(3), 1, tmp_path, progress=2) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in told] == ["2 of 3 seeds", "3 seeds from 0"]


def test_the_command_that_replays_a_seed_names_the_python_that_has_the_program() -> None:
    assert f"{sys.executable} -m controller.simulation.campaign" == campaign.PROGRAM


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--jobs", "0"], ["--seeds", "many"]])
def test_a_campaign_of_nothing_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        campaign.main(arguments)
    assert ended.value.code == 2
    assert f"argument {arguments[0]}: invalid" in capsys.readouterr().err


def test_acts_that_are_not_needed_to_break_a_promise_are_left_out(broken: Trial) -> None:
    left_out = campaign.shrunk(broken, DecrementsTwice)
    assert left_out
    assert 6 in campaign.broken(run(broken.without(left_out), DecrementsTwice))


def test_a_replay_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign.main(["--replay", "1", "--without", "0", "--logs", str(tmp_path)]) == 0
    assert "quiet from" in capsys.readouterr().out
