"""Tasks a second on the process engine: the command `true`, nothing left out of durability."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import harness, peers
from benchmarks.commands import seconds_of
from benchmarks.harness import Bench, Contender, Result, Target
from benchmarks.installation import Installation, installation

OURS, XARGS, PARALLEL = "runner", "xargs -P2", "GNU parallel -j2"
HYPERQUEUE = "HyperQueue LocalCluster, 2 cores"
LUIGI, LUIGI_LARGE, LUIGI_USUAL = "Luigi, builds of 200", "Luigi, one build of 2,000", "Luigi as documented"
UNIT = "tasks/s"

TARGETS = {
    PARALLEL: Target("at least", 1.0),
    HYPERQUEUE: Target("at least", 1.0),
    LUIGI: Target("at least", 1.0),
    XARGS: Target("at least", 0.5),
}


async def run(bench: Bench) -> Result:
    rounds, size = (2, 500) if bench.quick else (5, 5000)
    interpreter = peers.python(bench.space)
    async with installation(bench.homes / "tasks", "process") as ours:
        await ours.run(["true"], size // 10)
        contenders = _contenders(ours, bench.homes, interpreter, size)
        samples = await harness.interleave(contenders, rounds)
    return Result(
        name="tasks",
        figures=harness.figures("command `true`", UNIT, samples),
        ratios=[
            harness.ratio("command `true`", samples, OURS, peer, TARGETS.get(peer))
            for peer in samples
            if peer != OURS
        ],
        terms={
            "tasks": size,
            "rounds": rounds,
            "peers": peers.versions(interpreter),
            OURS: "submit to the job's terminal status; warm agent, all vCPUs, SQLite with synchronous=FULL",
            HYPERQUEUE: "warm, without a journal; from submit to the start of the last task",
            LUIGI: "subprocess in its only worker, kept in memory; the more tasks, the longer it schedules",
            LUIGI_LARGE: "the same, 2,000 tasks in one build",
            LUIGI_USUAL: "ExternalProgramTask, a LocalTarget each, 2 workers",
        },
        not_measured=[
            f"{program}: not on this machine"
            for program in ("parallel", "xargs")
            if not shutil.which(program)
        ],
    )


def _contenders(ours: Installation, space: Path, interpreter: Path, size: int) -> dict[str, Contender]:
    def shell(line: str) -> Contender:
        return harness.rate(size, lambda: seconds_of(["sh", "-c", line]))

    def python(program: str, count: int, *arguments: str) -> Contender:
        return harness.rate(
            count, lambda: peers.seconds_in(interpreter, program, str(count), *arguments, space=space)
        )

    contenders = {OURS: harness.rate(size, lambda: ours.run(["true"], size))}
    if shutil.which("xargs"):
        contenders[XARGS] = shell(f"seq {size} | xargs -P2 -n1 true")
    if shutil.which("parallel"):
        contenders[PARALLEL] = shell(f"seq {size} | parallel -j2 true")
    contenders[HYPERQUEUE] = python("hyperqueue_tasks.py", size)
    contenders[LUIGI] = python("luigi_tasks.py", 1000, "200", "plain")
    contenders[LUIGI_LARGE] = python("luigi_tasks.py", 2000, "2000", "plain")
    contenders[LUIGI_USUAL] = python("luigi_tasks.py", 500, "500", "usual")
    return contenders
