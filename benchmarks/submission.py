"""What submitting and reading cost by the size of the array: whole commands, as a user calls them."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness
from benchmarks.commands import Measured, measure
from benchmarks.filling import fill
from benchmarks.harness import Bench, Figure, Ratio, Result, Target
from benchmarks.installation import configure, environment
from runner.settings import Settings

SMALL, LARGE = "1,000 tasks", "1,000,000 tasks"
SIZES = {SMALL: 1000, LARGE: 1_000_000}
FAILED = 10
MOST = Target("at most", 2.0)

CONTROLLER = (sys.executable, "-m", "controller.cli.main")
REPOSITORY = Path(__file__).parents[1]

SUBMIT, STATUS, TASKS = "submit --array --detach", "status JOB", "tasks JOB --filter failed"


async def run(bench: Bench) -> Result:
    rounds = 3 if bench.quick else 15
    installations, jobs = {}, {}
    for name, size in SIZES.items():
        installations[name] = configure(bench.homes / f"filled-{size}", "process")
        jobs[name] = await fill(installations[name], size // 50 if bench.quick else size, FAILED)
        print(f"  filled {name}", flush=True)
    figures: list[Figure] = []
    ratios: list[Ratio] = []
    for command, contenders in (
        (SUBMIT, {name: _Submit(bench.homes, size) for name, size in SIZES.items()}),
        (STATUS, {name: _Read(installations[name], ("status", jobs[name])) for name in SIZES}),
        (
            TASKS,
            {name: _Read(installations[name], ("tasks", jobs[name], "--filter", "failed")) for name in SIZES},
        ),
    ):
        samples = await harness.interleave({name: each.seconds for name, each in contenders.items()}, rounds)
        memory = {name: tuple(each.peaks) for name, each in contenders.items()}
        figures += harness.figures(f"{command}: time", "s", samples)
        figures += harness.figures(f"{command}: peak memory", "MiB", memory)
        ratios.append(harness.ratio(f"{command}: time", samples, LARGE, SMALL, MOST))
        ratios.append(harness.ratio(f"{command}: peak memory", memory, LARGE, SMALL, MOST))
    return Result(
        name="submission",
        figures=figures,
        ratios=ratios,
        terms={
            "rounds": rounds,
            SUBMIT: "submit --array 0-N --detach --output quiet -- true, each into a new directory",
            "the finished jobs": "written by the ledger's own begin and finish, without running a command",
            "failed tasks in either": FAILED,
            "start of the interpreter": "is part of every figure",
        },
        not_measured=["arrays of lines or items, which cost what writing them costs"],
    )


class _Command:
    """A command of ours, run again and again; `peaks` collects its peak memory in MiB."""

    def __init__(self) -> None:
        self.peaks: list[float] = []

    def _measure(self, settings: Settings, arguments: Sequence[str]) -> Measured:
        env = {**environment(settings), "PYTHONPATH": str(REPOSITORY)}
        measured = measure((*CONTROLLER, *arguments), env, settings.home)
        self.peaks.append(measured.peak_memory / 1024**2)
        return measured


class _Submit(_Command):
    def __init__(self, space: Path, size: int) -> None:
        super().__init__()
        self._homes = (space / f"submit-{size}-{number}" for number in itertools.count())
        self._array = f"0-{size - 1}"

    async def seconds(self) -> float:
        settings = configure(next(self._homes), "process")
        arguments = ("submit", "--array", self._array, "--detach", "--output", "quiet", "--", "true")
        return (await asyncio.to_thread(self._measure, settings, arguments)).seconds


class _Read(_Command):
    def __init__(self, settings: Settings, arguments: Sequence[str]) -> None:
        super().__init__()
        self._settings = settings
        self._arguments = (*arguments, "--output", "json")

    async def seconds(self) -> float:
        measured = await asyncio.to_thread(self._measure, self._settings, self._arguments)
        shown = json.loads(measured.output)
        if not shown:
            message = f"{' '.join(self._arguments)} has shown nothing"
            raise RuntimeError(message)
        return measured.seconds
