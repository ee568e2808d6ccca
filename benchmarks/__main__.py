"""Runs benchmarks, keeps their results, brings the page up to date."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks import agent, containers, fleet, harness, machine, scale, submission, tables, tasks
from benchmarks.harness import Bench, Result

BENCHMARKS: Mapping[str, Callable[[Bench], Coroutine[Any, Any, Result]]] = {
    "containers": containers.run,
    "tasks": tasks.run,
    "submission": submission.run,
    "agent": agent.run,
    "fleet": fleet.run,
    "scale": scale.run,
}

SPACE = Path(__file__).parents[1] / ".bench"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Small and soon done: to see that it works. Keeps no results.")
@click.option("--docs", is_flag=True, help="Measure nothing: only bring docs/benchmarks.md up to date.")
def main(names: tuple[str, ...], quick: bool, docs: bool) -> None:
    """Measure how fast it is, beside its peers. Without names: everything, in about an hour and a half."""
    if not docs:
        with _alone():
            for name in names or BENCHMARKS:
                _measure(name, quick)
    if not quick:
        tables.update()


@contextmanager
def _alone() -> Iterator[None]:
    """Two at once would falsify each other's figures, and empty each other's directories."""
    SPACE.mkdir(exist_ok=True)
    with (SPACE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = "another benchmark is running here; wait until it has ended"
            raise click.ClickException(message) from None
        yield


def _measure(name: str, quick: bool) -> None:
    print(f"{name}:", flush=True)
    bench = Bench(SPACE, quick)
    shutil.rmtree(bench.homes, ignore_errors=True)
    bench.homes.mkdir(parents=True)
    surroundings: dict[str, object] = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(SPACE),
        "load_before": round(os.getloadavg()[0], 2),
    }
    result = asyncio.run(BENCHMARKS[name](bench))
    surroundings["load_after"] = round(os.getloadavg()[0], 2)
    content = harness.document(result, surroundings)
    print(tables.figures(content) + "\n" + tables.ratios(content))
    for missing in result.not_measured:
        print(f"not measured: {missing}")
    if result.figures:
        print(f"kept in {harness.save(content, SPACE / 'quick' if quick else harness.RESULTS)}")
    print(flush=True)
    shutil.rmtree(bench.homes, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
