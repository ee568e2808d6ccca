"""The harness counts right, and the page on speed quotes nothing but what was kept."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness, tables
from benchmarks.harness import Figure, Ratio, Result, Target

RESULTS = sorted(harness.RESULTS.glob("*.json"))
MEASURED = re.compile(r"\d[\d,.]*\s?(?:[×%]|/s|a second|times|ms\b|MiB|MB\b|seconds\b)")

each_result = pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)


def counting(calls: list[str], name: str) -> Callable[[], Awaitable[float]]:
    async def contender() -> float:
        calls.append(name)
        return float(len(calls))

    return contender


async def test_contenders_take_turns_in_every_round() -> None:
    calls: list[str] = []
    await harness.interleave({name: counting(calls, name) for name in "ab"}, rounds=3)
    assert calls == ["a", "b", "a", "b", "a", "b"]


async def test_samples_are_kept_in_the_order_of_rounds() -> None:
    calls: list[str] = []
    samples = await harness.interleave({name: counting(calls, name) for name in "ab"}, rounds=2)
    assert samples == {"a": (1.0, 3.0), "b": (2.0, 4.0)}


def test_a_ratio_is_taken_within_each_round() -> None:
    ratio = harness.ratio("g", {"ours": (10.0, 30.0), "theirs": (5.0, 10.0)}, "ours", "theirs")
    assert ratio.samples == (2.0, 3.0)


def test_a_spread_is_the_median_the_least_and_the_most() -> None:
    assert harness.spread([5.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 5.0}


@pytest.mark.parametrize(
    ("bound", "median", "reached"),
    [("at least", 2.2, True), ("at least", 2.19, False), ("at most", 2.0, True), ("at most", 2.01, False)],
)
def test_a_target_is_reached_by_the_median(bound: harness.Bound, median: float, reached: bool) -> None:
    ratio = Ratio("g", "r", (0.1, median, 99.0), Target(bound, 2.2 if bound == "at least" else 2.0))
    content = harness.document(Result("x", (), [ratio]), {})
    assert content["ratios"][0]["reached"] is reached


def test_a_kept_result_says_what_its_samples_say(tmp_path: Path) -> None:
    result = Result("x", [Figure("g", "f", "tasks/s", (1.0, 2.0, 6.0))])
    content = harness.load(harness.save(harness.document(result, {}), tmp_path))
    assert content["figures"][0] == {
        "group": "g",
        "name": "f",
        "unit": "tasks/s",
        "median": 2.0,
        "least": 1.0,
        "most": 6.0,
        "samples": [1.0, 2.0, 6.0],
    }


def test_only_what_stands_between_markers_is_replaced(tmp_path: Path) -> None:
    content = harness.document(Result("x", [Figure("g", "f", "s", (1.5,))]), {})
    harness.save(content, tmp_path)
    page = "before\n<!-- table: x figures -->\nold\n<!-- end -->\nafter\n"
    assert tables.render(page, tmp_path) == page.replace("old\n", tables.figures(content))


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.6, "1,235"), (2.1999, "2.2"), (0.01234, "0.0123"), (15.04, "15")]
)
def test_numbers_are_shown_by_three_digits(value: float, shown: str) -> None:
    assert tables.number(value) == shown


def test_the_page_shows_what_the_result_files_say() -> None:
    page = tables.PAGE.read_text()
    assert tables.render(page) == page


def test_every_result_is_on_the_page() -> None:
    shown = {
        name for _, name, part, _, _ in tables.BLOCK.findall(tables.PAGE.read_text()) if part == "figures"
    }
    assert shown >= {path.stem for path in RESULTS}


def test_no_measured_number_stands_outside_the_tables() -> None:
    assert MEASURED.findall(tables.BLOCK.sub("", tables.PAGE.read_text())) == []


@each_result
def test_a_result_says_what_it_was_taken_on(path: Path) -> None:
    machine = json.loads(path.read_text())["machine"]
    assert {"cores", "processor", "memory_gib", "kernel", "docker", "python", "sqlite"} <= machine.keys()


@each_result
def test_medians_and_spreads_follow_from_the_samples(path: Path) -> None:
    content = harness.load(path)
    for entry in [*content["figures"], *content["ratios"]]:
        assert {key: entry[key] for key in ("median", "least", "most")} == harness.spread(entry["samples"])


@each_result
def test_whether_a_target_was_reached_follows_from_the_median(path: Path) -> None:
    for entry in harness.load(path)["ratios"]:
        target: dict[str, Any] | None = entry.get("target")
        if target is not None:
            assert entry["reached"] is Target(target["bound"], target["value"]).reached(entry["median"])
