"""Result files as tables: for the terminal, and between the markers in docs/benchmarks.md.

A marker names a file and what of it is shown: `<!-- table: tasks ratios -->` … `<!-- end -->`. Only what
stands between them is ever replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PAGES = (PAGE, PAGE.with_name("scale.md"))

BLOCK = re.compile(r"(<!-- table: (\w+) (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

Row = Sequence[str]


def figures(content: Mapping[str, Any]) -> str:
    head = ("Condition", "What", "Median", "Least – most", "Unit")
    return _table(head, (_figure(figure) for figure in content["figures"]))


def ratios(content: Mapping[str, Any]) -> str:
    head = ("Condition", "Ratio", "Median", "Least – most", "Target", "Reached")
    return _table(head, (_ratio(ratio) for ratio in content["ratios"]))


def machine(content: Mapping[str, Any]) -> str:
    about = {"taken": content["taken_at"], "load": f"{content['load_before']} – {content['load_after']}"}
    described = {**content["machine"], **about}
    return _table(("", ""), ((key.replace("_", " "), str(value)) for key, value in described.items()))


def terms(content: Mapping[str, Any]) -> str:
    return _table(("", ""), ((key, _said(value)) for key, value in content["terms"].items()))


def beside(content: Mapping[str, Any]) -> str:
    """The medians of conditions that are called `KIND: SIZE`: for each kind a table, with a column for each size."""
    kinds: dict[str, dict[str, dict[str, str]]] = {}
    sizes: dict[str, list[str]] = {}
    for figure in content["figures"]:
        kind, _, size = figure["group"].partition(": ")
        row = f"{figure['name']}, {figure['unit']}" if figure["unit"] else figure["name"]
        kinds.setdefault(kind, {}).setdefault(row, {})[size] = number(figure["median"])
        if size not in sizes.setdefault(kind, []):
            sizes[kind].append(size)
    return "\n".join(
        _table(
            (kind, *sizes[kind]),
            ((name, *(row.get(size, "") for size in sizes[kind])) for name, row in rows.items()),
        )
        for kind, rows in kinds.items()
    )


SHOWN = {"figures": figures, "beside": beside, "ratios": ratios, "machine": machine, "terms": terms}


def render(page: str, results: Path = harness.RESULTS) -> str:
    """The page with every block made anew from its result file."""

    def block(found: re.Match[str]) -> str:
        opening, name, part, _, closing = found.groups()
        file = results / f"{name}.json"
        shown = SHOWN[part](harness.load(file)) if file.exists() else "Not measured yet.\n"
        return f"{opening}{shown}{closing}"

    return BLOCK.sub(block, page)


def update() -> None:
    for page in PAGES:
        page.write_text(render(page.read_text()))


def number(value: float) -> str:
    """Three digits that count; whole thousands with commas."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{harness.significant(value, 3):g}"


def _figure(figure: Mapping[str, Any]) -> Row:
    return figure["group"], figure["name"], number(figure["median"]), _between(figure), figure["unit"]


def _ratio(ratio: Mapping[str, Any]) -> Row:
    target = ratio.get("target")
    wanted = f"{target['bound']} {target['value']:g}" if target else ""
    reached = ("yes" if ratio["reached"] else "**no**") if target else ""
    return ratio["group"], ratio["name"], number(ratio["median"]), _between(ratio), wanted, reached


def _between(spread: Mapping[str, float]) -> str:
    return f"{number(spread['least'])} – {number(spread['most'])}"


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
