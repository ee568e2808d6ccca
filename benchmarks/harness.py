"""Interleaved rounds, their medians and ratios, and the files they are kept in.

Contenders run in turn (A B C, A B C, …), so that whatever else the machine does falls on all of them; ratios
are taken within each round, and their median is what is quoted.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Contender = Callable[[], Awaitable[float]]
"""Runs once and returns one sample."""

Bound = Literal["at least", "at most"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Bench:
    """What a benchmark is run with. `quick`: to see that it works, not to be quoted. `space`: a directory
    kept from run to run, and in it `homes`, empty at the start."""

    space: Path
    quick: bool = False

    @property
    def homes(self) -> Path:
        return self.space / "homes"


@dataclass(frozen=True, slots=True)
class Figure:
    """Samples of one thing. `group` is the condition it was measured under."""

    group: str
    name: str
    unit: str
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Target:
    bound: Bound
    value: float

    def reached(self, value: float) -> bool:
        return value >= self.value if self.bound == "at least" else value <= self.value


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure by another, round by round."""

    group: str
    name: str
    samples: tuple[float, ...]
    target: Target | None = None


@dataclass(frozen=True)
class Result:
    """One benchmark's outcome. `terms`: what was run, in words, so that a reader could repeat it by hand."""

    name: str
    figures: Sequence[Figure]
    ratios: Sequence[Ratio] = ()
    terms: Mapping[str, object] = field(default_factory=dict)
    not_measured: Sequence[str] = ()


async def interleave(contenders: Mapping[str, Contender], rounds: int) -> dict[str, tuple[float, ...]]:
    """Every contender once in each round, in the same order. Samples by contender, in order of rounds."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            samples[name].append(await contender())
            print(f"  round {number + 1}/{rounds}  {name}: {samples[name][-1]:.4g}", flush=True)
    return {name: tuple(values) for name, values in samples.items()}


def rate(count: int, seconds: Callable[[], Awaitable[float]]) -> Contender:
    """How many of `count` a second."""

    async def once() -> float:
        return count / await seconds()

    return once


def figures(group: str, unit: str, samples: Mapping[str, tuple[float, ...]]) -> list[Figure]:
    return [Figure(group, name, unit, values) for name, values in samples.items()]


def ratio(
    group: str,
    samples: Mapping[str, Sequence[float]],
    of: str,
    to: str,
    target: Target | None = None,
) -> Ratio:
    pairs = zip(samples[of], samples[to], strict=True)
    return Ratio(group, f"{of} ÷ {to}", tuple(one / other for one, other in pairs), target)


def spread(samples: Iterable[float]) -> dict[str, float]:
    """Median, least and most."""
    values = list(samples)
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def document(result: Result, surroundings: Mapping[str, object]) -> dict[str, Any]:
    """The JSON object that is kept. Samples are rounded to what they are worth; the rest follows from them."""
    return {
        "benchmark": result.name,
        **surroundings,
        "terms": dict(result.terms),
        "not_measured": list(result.not_measured),
        "figures": [_figure(figure) for figure in result.figures],
        "ratios": [_ratio(each) for each in result.ratios],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    samples = [significant(value) for value in figure.samples]
    return {
        "group": figure.group,
        "name": figure.name,
        "unit": figure.unit,
        **spread(samples),
        "samples": samples,
    }


def _ratio(each: Ratio) -> dict[str, Any]:
    samples = [significant(value) for value in each.samples]
    described: dict[str, Any] = {
        "group": each.group,
        "name": each.name,
        **spread(samples),
        "samples": samples,
    }
    if each.target is not None:
        described["target"] = {"bound": each.target.bound, "value": each.target.value}
        described["reached"] = each.target.reached(described["median"])
    return described


def significant(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def save(content: Mapping[str, Any], directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{content['benchmark']}.json"
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
