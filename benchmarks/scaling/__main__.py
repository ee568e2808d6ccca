"""Measures the scaling policy, keeps the results, brings docs/scaling.md up to date."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from benchmarks.scaling import chart, page
from benchmarks.scaling.measure import KNOWLEDGE, KNOWN, Measured, measure
from benchmarks.scaling.summary import Summary, document
from benchmarks.scaling.workloads import HELD_OUT, SMALL, WORKLOADS, Case
from controller.simulation.model import swf
from controller.simulation.model.workload import Workload

HERE = Path(__file__).parents[2]
RESULTS = HERE / "benchmarks" / "results" / "scaling.json"
PAGE, CHART = HERE / "docs" / "scaling.md", HERE / "docs" / "scaling.svg"
TRACE = HERE.parent / "shared" / "data" / "NASA-iPSC-1993-3.1-cln.swf.gz"

# Of the trace the fifth week: 1,207 jobs of 1 to 128 processors.
WEEK = 7 * 86400.0
SPAN = swf.Span(4 * WEEK, 5 * WEEK)
TRACED = "NASA iPSC, a week"

EVERY = {**WORKLOADS, **HELD_OUT}


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes at a time.")
@click.option("--trace", type=click.Path(exists=True, path_type=Path), help="Another trace, .swf or .swf.gz.")
@click.option(
    "--quick", is_flag=True, help="One seed, durations known: to see that it works. Keeps no results."
)
@click.option("--docs", is_flag=True, help="Measure nothing: only bring docs/scaling.md up to date.")
def main(seeds: int, jobs: int, trace: Path | None, quick: bool, docs: bool) -> None:
    """Measure every policy over every workload, in about ten minutes."""
    if docs:
        _publish(json.loads(RESULTS.read_text()))
        return
    trace = trace or (TRACE if TRACE.exists() else None)
    if trace is None:
        print(f"left out: {TRACED}; docs/scaling.md says where there are traces")
    runs = _measured(1 if quick else seeds, jobs, trace, quick)
    content = document(runs, 1 if quick else seeds, list(HELD_OUT))
    if quick:
        print(page.policies(Summary(content)) if trace else page.workloads(Summary(content)))
        return
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    _publish(content)


def _measured(seeds: int, jobs: int, trace: Path | None, quick: bool) -> Sequence[Measured]:
    asked = [(name, seed, None, quick) for name in EVERY for seed in range(seeds)]
    # Nothing of a trace is drawn at random but boots, of which there are thousands: one seed is enough.
    traced = [(TRACED, 0, trace, quick)] if trace else []
    with ProcessPoolExecutor(jobs) as pool:
        found: list[Measured] = []
        for each in pool.map(_one, [*traced, *asked]):
            print(f"{each[0].workload}, seed {each[0].seed}", flush=True)
            found += each
    return sorted(found, key=lambda each: [*WORKLOADS, TRACED, *HELD_OUT].index(each.workload))


def _one(asked: tuple[str, int, Path | None, bool]) -> list[Measured]:
    name, seed, trace, quick = asked
    knowledge = (KNOWN,) if quick or name in HELD_OUT else KNOWLEDGE
    if trace is None:
        return measure(name, EVERY[name], seed, knowledge)
    return measure(name, lambda _: traced(trace), seed, knowledge)


def traced(path: Path, span: swf.Span = SPAN) -> Case:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return Case(Workload(TRACED, swf.bags(content.decode().splitlines(), span)), (SMALL,))


def _publish(content: Mapping[str, object]) -> None:
    summary = Summary(content)
    PAGE.write_text(page.render(PAGE.read_text(), summary))
    CHART.write_text(chart.draw(summary))
    print(page.policies(summary))


if __name__ == "__main__":
    sys.exit(main())
