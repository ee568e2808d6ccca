"""What the number of machines alone could have done, and workloads that are told of apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scaling import hindsight
from benchmarks.scaling.hindsight import Share
from benchmarks.scaling.measure import KNOWN, LOOKED_BACK, WORTHS, measure
from benchmarks.scaling.page import held_out, reach
from benchmarks.scaling.summary import Summary, document
from benchmarks.scaling.workloads import HELD_OUT, WORKLOADS
from controller.simulation.model.product import PRODUCT
from tests.scaling.played import routes
from tests.scaling.test_baselines import counts

NAME, OTHER, APART = "50 × 30 s", "50 × 300 s", "7 × 45 s"


@pytest.fixture(scope="module")
def summary() -> Summary:
    every = {**WORKLOADS, **HELD_OUT}
    runs = [each for name in (NAME, OTHER, APART) for each in measure(name, every[name], 0, [KNOWN])]
    return Summary(document(runs, 1, [APART]))


def test_a_share_of_a_slot_for_each_and_never_less_than_before() -> None:
    share = Share(routes(), 0.5, 0.0)
    assert share.desired("small", counts(100)) == 25
    assert share.desired("small", counts(10, desired=20)) == 20
    assert share.desired("small", counts(100_000)) == 100


def test_what_is_best_in_hindsight_is_the_best_for_each_worth(summary: Summary) -> None:
    found = [summary.looked_back(NAME, worth) for worth in WORTHS]
    assert all(each is not None and each >= 1.0 for each in found)
    assert summary.looked_back(OTHER, 1.0) is None


def test_it_is_no_policy_beside_the_others(summary: Summary) -> None:
    assert hindsight.NAME not in summary.policies
    assert summary.best_baseline(NAME, 100.0)[0] != hindsight.NAME


def test_it_is_looked_for_in_workloads_that_there_are() -> None:
    assert set(LOOKED_BACK) <= set(WORKLOADS)


def test_what_was_held_out_counts_apart(summary: Summary) -> None:
    assert list(summary.workloads) == [NAME, OTHER]
    assert list(summary.held_out) == [APART]
    alone = summary.ratios(APART, 1.0)[PRODUCT]
    assert summary.geometric_mean(PRODUCT, 1.0, over=[APART]) == pytest.approx(alone)
    assert held_out(summary).splitlines()[2].startswith(f"| {APART} |")


def test_every_miss_is_told_of_and_nothing_else(summary: Summary) -> None:
    rows = [line.split(" | ") for line in reach(summary).splitlines()[2:]]
    assert all(float(own) > 1.10 or float(own) > 1.05 * float(best.split()[0]) for *_, own, _, best in rows)
    missed = replace(summary, content={**summary.content, "runs": [_worse(row) for row in _rows(summary)]})
    assert len(reach(missed).splitlines()) == 2 + len(summary.workloads) * len(WORTHS)


def _rows(summary: Summary) -> list[dict[str, object]]:
    return list(summary.content["runs"])


def _worse(row: dict[str, object]) -> dict[str, object]:
    return {**row, "ratios": dict.fromkeys(("1", "10", "100"), 9.0)} if row["policy"] == PRODUCT else row
