"""That the scaling policy is as good as docs/scaling.md says, on workloads small enough to be measured at each test."""

from __future__ import annotations

import pytest

from benchmarks.scaling.measure import KNOWN, WORTHS, Measured, measure
from benchmarks.scaling.page import AIM, BEATEN
from benchmarks.scaling.summary import Summary, document
from benchmarks.scaling.workloads import WORKLOADS
from controller.simulation.model.product import PRODUCT

NAMES = ("50 × 300 s", "1,000 × 30 s", "1,000 × 300 s", "no capacity", "late counts")
OTHERS = ("heavy-tailed", "99 short, 1 long", "waves, gap ≈ boot", "spot, one by one")


@pytest.fixture(scope="module")
def runs() -> list[Measured]:
    return [each for name in (*NAMES, *OTHERS) for each in measure(name, WORKLOADS[name], 0, [KNOWN])]


@pytest.fixture(scope="module")
def summary(runs: list[Measured]) -> Summary:
    return Summary(document(runs, 1))


@pytest.mark.parametrize("worth", WORTHS)
@pytest.mark.parametrize("name", NAMES)
def test_with_durations_known_it_is_within_a_tenth_of_what_nobody_can_beat(
    summary: Summary, name: str, worth: float
) -> None:
    assert summary.ratios(name, worth)[PRODUCT] <= AIM


@pytest.mark.parametrize("worth", WORTHS)
@pytest.mark.parametrize("name", NAMES)
def test_no_baseline_is_much_better_anywhere(summary: Summary, name: str, worth: float) -> None:
    _, best = summary.best_baseline(name, worth)
    assert summary.ratios(name, worth)[PRODUCT] <= BEATEN * best


@pytest.mark.parametrize("worth", WORTHS)
def test_over_all_of_them_it_is_better_than_every_baseline(summary: Summary, worth: float) -> None:
    others = [summary.geometric_mean(policy, worth) for policy in summary.policies if policy != PRODUCT]
    assert summary.geometric_mean(PRODUCT, worth) < min(others)


def test_it_ends_no_task(runs: list[Measured]) -> None:
    assert {each.metrics.killed for each in runs if each.policy == PRODUCT} == {0}
