"""docs/scaling.md is made from the result file."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from benchmarks.scaling.__main__ import CHART, PAGE, RESULTS
from benchmarks.scaling.chart import draw
from benchmarks.scaling.page import TABLES, render
from benchmarks.scaling.summary import Summary


@pytest.fixture(scope="module")
def summary() -> Summary:
    return Summary(json.loads(RESULTS.read_text()))


def test_the_page_shows_what_was_measured(summary: Summary) -> None:
    page = PAGE.read_text()
    assert render(page, summary) == page


def test_the_chart_shows_what_was_measured(summary: Summary) -> None:
    assert draw(summary) == CHART.read_text()


def test_nobody_was_below_the_bound(summary: Summary) -> None:
    assert min(ratio for row in summary.content["runs"] for ratio in row["ratios"].values()) >= 1.0


def test_every_table_is_on_the_page() -> None:
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE.read_text())) == set(TABLES)


def test_the_chart_is_drawn_within_its_bounds(summary: Summary) -> None:
    drawing = ElementTree.fromstring(draw(summary))  # our own
    width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    dots = [each.attrib for each in drawing if each.tag.endswith("circle")]
    assert len(dots) > len(summary.workloads) * len(summary.policies)
    assert all(0 <= float(dot["cx"]) <= width and 0 <= float(dot["cy"]) <= height for dot in dots)


def test_what_lies_outside_the_markers_is_left_alone(summary: Summary) -> None:
    page = "before\n<!-- table: policies -->\nold\n<!-- end -->\nafter\n"
    made = render(page, summary)
    assert made.startswith("before\n<!-- table: policies -->\n| Policy |")
    assert made.endswith("<!-- end -->\nafter\n")
