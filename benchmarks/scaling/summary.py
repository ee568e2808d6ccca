"""Runs of several seeds put together: what is kept in the result file, and what tables and chart are made of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.scaling import hindsight
from benchmarks.scaling.measure import KNOWN, WORTHS, Measured
from controller.simulation.model.metrics import Metrics
from controller.simulation.model.product import PRODUCT

DIGITS = 4


def document(runs: Sequence[Measured], seeds: int, held_out: Sequence[str] = ()) -> dict[str, Any]:
    """Everything is a mean over the seeds: a policy's metrics, and its cost as a multiple of the bound by what an hour
    of waiting is worth. `held_out`: workloads that are told of apart."""
    rows: dict[tuple[str, str, str, float | None], list[Measured]] = {}
    for each in runs:
        rows.setdefault((each.workload, each.policy, each.knowledge, each.worth), []).append(each)
    return {
        "seeds": seeds,
        "worths": list(WORTHS),
        "held_out": list(held_out),
        "bounds": {
            each.workload: [_round(bound) for bound in each.bounds] for each in runs if each.seed == 0
        },
        "runs": [_row(*key, found) for key, found in rows.items()],
    }


def _row(
    workload: str, policy: str, knowledge: str, worth: float | None, found: Sequence[Measured]
) -> dict[str, Any]:
    worths = WORTHS if worth is None else (worth,)
    return {
        "workload": workload,
        "policy": policy,
        "knowledge": knowledge,
        "told": worth,
        "ratios": {f"{each:g}": _round(_mean(one.ratio(each) for one in found)) for each in worths},
        "metrics": {
            field.name: _round(_mean(getattr(one.metrics, field.name) for one in found))
            for field in dataclasses.fields(Metrics)
        },
    }


@dataclass(frozen=True)
class Summary:
    """Reads the result file."""

    content: Mapping[str, Any]
    own: str = PRODUCT

    @property
    def worths(self) -> Sequence[float]:
        return [float(worth) for worth in self.content["worths"]]

    @cached_property
    def workloads(self) -> Sequence[str]:
        """Without those that were held out."""
        every = dict.fromkeys(row["workload"] for row in self.content["runs"])
        return [name for name in every if name not in self.held_out]

    @cached_property
    def held_out(self) -> Sequence[str]:
        known = {row["workload"] for row in self.content["runs"]}
        return [name for name in self.content["held_out"] if name in known]

    @cached_property
    def policies(self) -> Sequence[str]:
        """Those that were measured over every workload, this project's the last."""
        over: dict[str, set[str]] = {}
        for row in self.content["runs"]:
            over.setdefault(row["policy"], set()).add(row["workload"])
        every = set(self.workloads)
        known = [each for each in over if over[each] >= every]
        return [*(each for each in known if each not in (self.own, hindsight.NAME)), self.own]

    def ratios(self, workload: str, worth: float, knowledge: str = KNOWN.name) -> Mapping[str, float]:
        """By policy; baselines with durations known."""
        found: dict[str, float] = {}
        for row in self.content["runs"]:
            fits = row["knowledge"] == (knowledge if row["policy"] == self.own else KNOWN.name)
            known = row["policy"] in self.policies
            if row["workload"] == workload and known and fits and f"{worth:g}" in row["ratios"]:
                found[row["policy"]] = row["ratios"][f"{worth:g}"]
        return found

    def looked_back(self, workload: str, worth: float) -> float | None:
        """The best ratio that was to be had by the number of machines, where that was measured."""
        found = (
            row["ratios"][f"{worth:g}"]
            for row in self.content["runs"]
            if (row["workload"], row["policy"], row["told"]) == (workload, hindsight.NAME, worth)
        )
        return next(found, None)

    def metrics(self, workload: str, policy: str, worth: float) -> Mapping[str, float]:
        """With durations known."""
        return next(
            row["metrics"]
            for row in self.content["runs"]
            if (row["workload"], row["policy"], row["knowledge"]) == (workload, policy, KNOWN.name)
            and row["told"] in (None, worth)
        )

    def geometric_mean(
        self, policy: str, worth: float, knowledge: str = KNOWN.name, over: Sequence[str] = ()
    ) -> float:
        """`over`: of these workloads instead of all."""
        ratios = [self.ratios(name, worth, knowledge)[policy] for name in over or self.workloads]
        return math.exp(sum(map(math.log, ratios)) / len(ratios))

    def best_baseline(self, workload: str, worth: float) -> tuple[str, float]:
        ratios = self.ratios(workload, worth)
        best = min((policy for policy in ratios if policy != self.own), key=lambda policy: ratios[policy])
        return best, ratios[best]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _round(value: float) -> float:
    return round(value, DIGITS)
