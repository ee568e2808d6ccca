"""The tables between the markers of docs/scaling.md, made from the result file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.scaling.measure import KNOWLEDGE, STREAM_WORTH, STREAMS, Patient
from benchmarks.scaling.summary import Summary

BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

AIM = 1.10
BEATEN = 1.05
# Of what the others measure, this worth.
SHOWN_WORTH = 10.0
HOUR = 3600.0

Row = Sequence[str]


def render(page: str, summary: Summary) -> str:
    def block(found: re.Match[str]) -> str:
        opening, name, _, closing = found.groups()
        return f"{opening}{TABLES[name](summary)}{closing}"

    return BLOCK.sub(block, page)


def policies(summary: Summary) -> str:
    """Of every policy the geometric mean over all workloads, and its worst."""
    head = ("Policy", *(f"${worth:g}" for worth in summary.worths), "worst", "tasks ended")
    rows = []
    for policy in summary.policies:
        means = [f"{summary.geometric_mean(policy, worth):.3f}" for worth in summary.worths]
        every = [
            summary.ratios(name, worth)[policy] for name in summary.workloads for worth in summary.worths
        ]
        killed = sum(summary.metrics(name, policy, SHOWN_WORTH)["killed"] for name in summary.workloads)
        rows.append((policy, *means, f"{max(every):.2f}", f"{killed:,.0f}"))
    return _table(head, _emphasised(rows))


def workloads(summary: Summary) -> str:
    """This project beside the best baseline of each workload."""
    head = ("Workload", *(text for worth in summary.worths for text in (f"${worth:g}", "best baseline")))
    return _table(head, ((name, *_beside(summary, name)) for name in summary.workloads))


def held_out(summary: Summary) -> str:
    """The same of the workloads that the rule was not made with, and the geometric means over them."""
    head = ("Workload", *(text for worth in summary.worths for text in (f"${worth:g}", "best baseline")))
    rows: list[Row] = [(name, *_beside(summary, name)) for name in summary.held_out]
    return _table(head, [*rows, ("geometric mean", *_means_beside(summary, summary.held_out))])


def reach(summary: Summary) -> str:
    """Where the aim is missed: what the number of machines could have done about it."""
    head = ("Workload", "An hour is worth", "this project", "best share in hindsight", "best baseline")
    rows: list[Row] = []
    for name in summary.workloads:
        for worth in summary.worths:
            own, (best, ratio) = summary.ratios(name, worth)[summary.own], summary.best_baseline(name, worth)
            possible = summary.looked_back(name, worth)
            if own > AIM or own > BEATEN * ratio:
                shown = "not measured" if possible is None else f"{possible:.3f}"
                rows.append((name, f"${worth:g}", f"{own:.3f}", shown, f"{ratio:.3f} {best}"))
    return _table(head, rows)


def knowledge(summary: Summary) -> str:
    """What it costs to know less of how long tasks take."""
    head = ("Durations", *(text for worth in summary.worths for text in (f"${worth:g}", "worst")))
    rows = []
    for each in KNOWLEDGE:
        cells: list[str] = []
        for worth in summary.worths:
            ratios = [summary.ratios(name, worth, each.name)[summary.own] for name in summary.workloads]
            cells += [f"{summary.geometric_mean(summary.own, worth, each.name):.3f}", f"{max(ratios):.2f}"]
        rows.append((each.name, *cells))
    return _table(head, rows)


def metrics(summary: Summary) -> str:
    """What else is measured, of this project."""
    head = (
        "Workload",
        "Makespan",
        "Machine-hours",
        "First task",
        "95 % waited",
        "Launched",
        "never used",
        "Idle tail",
    )
    rows = ((name, *_measured(summary.metrics(name, summary.own, SHOWN_WORTH))) for name in summary.workloads)
    return _table(head, rows)


def streams(summary: Summary) -> str:
    """Where jobs keep coming, in dollars, if not only the last one's end but the end of each is worth something."""
    head = ("Policy", *STREAMS)
    rows = (
        (policy, *(f"{_each_waits(summary.metrics(name, policy, STREAM_WORTH)):,.2f}" for name in STREAMS))
        for policy in (*summary.policies, Patient.name)
    )
    return _table(head, rows)


TABLES: Mapping[str, Callable[[Summary], str]] = {
    "policies": policies,
    "workloads": workloads,
    "held_out": held_out,
    "reach": reach,
    "knowledge": knowledge,
    "metrics": metrics,
    "streams": streams,
}


def _beside(summary: Summary, name: str) -> Iterable[str]:
    for worth in summary.worths:
        own = summary.ratios(name, worth)[summary.own]
        best, ratio = summary.best_baseline(name, worth)
        shown = f"{own:.3f}"
        yield f"**{shown}**" if own > AIM or own > BEATEN * ratio else shown
        yield f"{ratio:.3f} {best}"


def _means_beside(summary: Summary, names: Sequence[str]) -> Iterable[str]:
    others = [policy for policy in summary.policies if policy != summary.own]
    for worth in summary.worths:
        means = {each: summary.geometric_mean(each, worth, over=names) for each in others}
        best = min(others, key=lambda policy: means[policy])
        yield f"{summary.geometric_mean(summary.own, worth, over=names):.3f}"
        yield f"{means[best]:.3f} {best}"


def _measured(values: Mapping[str, float]) -> Row:
    return (
        _duration(values["makespan"]),
        f"{values['machine_hours']:,.1f}",
        _duration(values["first_task"]),
        _duration(values["p95_wait"]),
        f"{values['launched']:,.0f}",
        f"{values['unused']:,.0f}",
        _duration(values["idle_tail"]),
    )


def _each_waits(values: Mapping[str, float]) -> float:
    return values["dollars"] + STREAM_WORTH * values["turnaround"] / HOUR


def _duration(seconds: float) -> str:
    return f"{seconds / HOUR:,.1f} h" if seconds >= 2 * HOUR else f"{seconds:,.0f} s"


def _emphasised(rows: Sequence[Row]) -> Iterable[Row]:
    """The last is ours."""
    return [*rows[:-1], [f"**{cell}**" for cell in rows[-1]]]


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
