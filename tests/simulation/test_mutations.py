"""The checker finds what is wrong of each mutant, and in the same scenes it says nothing of the product."""

from __future__ import annotations

import pytest

from controller.simulation.installation import Installation
from controller.simulation.mischief import Act
from controller.simulation.trial import run, trial_of
from controller.simulation.workload import steady
from tests.simulation import mutants
from tests.simulation.scenes import Scene, away

QUIET = Scene()
FROZEN = Scene((Act(60.0, "freeze-agent", 170.0),), tasks=3, work=steady(200.0))
VANISHED = Scene((Act(60.0, "engine-restarts", 5.0, value=0.9),))
CUT_OFF = Scene((away("dynamodb", 60.0, 120.0),), work=steady(200.0))
TWICE = Scene((Act(1.0, "sqs-twice", 100.0, value=0.99),), tasks=3)
SENT_TWICE = Scene(tasks=3, at=0.0)
BAD = Scene((Act(60.0, "bad-message"),))
LONG = Scene(tasks=8, work=steady(300.0))

# By mutant: where it shows, which promise it breaks, what is said of it.
FOUND = {
    mutants.DeletesBeforeRecording: (QUIET, 3, "its message is deleted, its task has not ended"),
    mutants.NoFence: (FROZEN, 2, "given up though its owner beat"),
    mutants.BeginsAnyhow: (SENT_TWICE, 0, "two containers of it run at once"),
    mutants.TakesOverAtOnce: (TWICE, 2, "given up though its owner beat"),
    mutants.GoesOnWithoutLease: (CUT_OFF, 4, "its container outlived its lease"),
    mutants.NoWatchdog: (FROZEN, 4, "its container outlived its lease"),
    mutants.DecrementsTwice: (QUIET, 6, "took more than itself from the desired capacity"),
    mutants.ScalesOnVisible: (QUIET, 6, "are in service, and fewer are asked for"),
    mutants.MissesWhatIsInFlight: (LONG, 0, "its messages were sent again, and none was missing"),
    mutants.DrainedWhenNoneIsVisible: (LONG, 5, "the demand is said to be nil"),
    mutants.ChargesTheUser: (VANISHED, 7, "the user is charged for what was not their doing"),
    mutants.DropsBadMessages: (BAD, 8, "a bad message was dropped"),
    mutants.SendsNoReplacement: (VANISHED, 3, "its message is deleted, its task has not ended"),
}

# These show in the first seeds of the campaign, too; the others take rarer accidents.
SEEDS = 40
COMMON = (
    mutants.DeletesBeforeRecording,
    mutants.TakesOverAtOnce,
    mutants.DecrementsTwice,
    mutants.ScalesOnVisible,
    mutants.MissesWhatIsInFlight,
    mutants.DrainedWhenNoneIsVisible,
)


@pytest.mark.parametrize("mutant", FOUND, ids=lambda mutant: mutant.__name__)
def test_what_is_wrong_of_a_mutant_is_found(mutant: type[Installation]) -> None:
    scene, promise, problem = FOUND[mutant]
    found = scene.violations(mutant)
    assert [each for each in found if each.promise == promise and problem in each.problem], found


@pytest.mark.parametrize(
    "scene", dict.fromkeys(scene for scene, _, _ in FOUND.values()), ids=lambda scene: str(scene.plan)
)
def test_nothing_is_found_wrong_of_the_product_in_the_same_scenes(scene: Scene) -> None:
    assert not scene.violations()


@pytest.mark.parametrize("mutant", COMMON, ids=lambda mutant: mutant.__name__)
def test_the_campaign_finds_a_mutant_in_its_first_seeds(mutant: type[Installation]) -> None:
    _, promise, problem = FOUND[mutant]
    assert any(
        each.promise == promise and problem in each.problem
        for seed in range(SEEDS)
        for each in run(trial_of(seed), mutant).violations
    )
