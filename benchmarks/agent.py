"""What the agent itself costs: memory, CPU while idle, CPU for each task, and where one task's time goes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping

import psutil

from benchmarks import image, timeline
from benchmarks.harness import Bench, Figure, Result
from benchmarks.installation import Installation, installation
from runner.settings import Settings
from runner.wiring import docker_trouble

PROCESS, DOCKER = "process engine", "Docker engine"
ENGINES = {PROCESS: "process", DOCKER: "docker"}

# From what happened to what: the way of a task, in order.
STEPS = (
    ("received → beginning", "received", "beginning"),
    ("begin in the ledger", "beginning", "begun"),
    ("wait for room", "begun", "in the room"),
    ("prepare", "in the room", "starting"),
    ("start", "starting", "started"),
    ("run", "running", "ended"),
    ("ended → known", "ended", "end known"),
    ("logs, metadata, verdict", "end known", "recording"),
    ("record in the ledger", "recording", "recorded"),
    ("acknowledge", "recorded", "acknowledged"),
    ("remove (beside the next)", "removing", "removed"),
)


async def run(bench: Bench) -> Result:
    idle, rounds = (3.0, 1) if bench.quick else (30.0, 5)
    sizes = {PROCESS: 200, DOCKER: 12} if bench.quick else {PROCESS: 3000, DOCKER: 100}
    trouble = await docker_trouble(Settings())
    name = "" if trouble else await image.ready()
    figures: list[Figure] = []
    for engine in [PROCESS] if trouble else ENGINES:
        figures += await _cost(bench, engine, sizes[engine], rounds, idle, name)
        figures += await _way(bench, engine, sizes[engine], 1, name)
        figures += await _way(bench, engine, sizes[engine], 2, name)
    return Result(
        name="agent",
        figures=figures,
        terms={
            "tasks": sizes,
            "rounds": rounds,
            "memory": "resident (RSS) and proportional (PSS), after those tasks",
            "idle": f"agent and watchdog together, over {idle:g} s without a task",
            "CPU of our own": "user and system time of the agent's process, its children's left out",
            "where the time goes": "wall time by clocks around the agent's ports; quartiles and median",
        },
        not_measured=[
            "CPU used by the Docker engine on behalf of the agent",
            *([f"the {DOCKER}: {trouble}"] if trouble else []),
        ],
    )


async def _cost(
    bench: Bench, engine: str, size: int, rounds: int, idle: float, name: str
) -> Iterable[Figure]:
    home = bench.homes / f"agent-{ENGINES[engine]}"
    async with installation(home, ENGINES[engine]) as ours:
        agent = psutil.Process(ours.agent.pid)
        await _run(ours, engine, max(20, size // 10), name)
        samples = [await _cpu_per_task(ours, agent, engine, size, name) for _ in range(rounds)]
        both = [agent, *_watchdogs(agent)]
        memory = [process.memory_full_info() for process in both]
        await asyncio.sleep(2.0)
        before = sum(map(_own_cpu, both))
        await asyncio.sleep(idle)
        share = (sum(map(_own_cpu, both)) - before) / idle
    return [
        Figure(engine, "CPU of our own per task", "ms", tuple(samples)),
        Figure(engine, "RSS, agent", "MiB", (memory[0].rss / 1024**2,)),
        Figure(engine, "RSS, watchdog", "MiB", (sum(each.rss for each in memory[1:]) / 1024**2,)),
        Figure(engine, "PSS, both", "MiB", (sum(each.pss for each in memory) / 1024**2,)),
        Figure(engine, "idle CPU, both", "% of a core", (100 * share,)),
    ]


async def _cpu_per_task(
    ours: Installation, agent: psutil.Process, engine: str, size: int, name: str
) -> float:
    """Milliseconds."""
    before = _own_cpu(agent)
    await _run(ours, engine, size, name)
    return 1000 * (_own_cpu(agent) - before) / size


async def _way(bench: Bench, engine: str, size: int, at_once: int, name: str) -> Iterable[Figure]:
    """Each step of the median task, so many running at once."""
    home = bench.homes / f"timeline-{ENGINES[engine]}-{at_once}"
    file = home.with_suffix(".json")
    os.environ[timeline.FILE] = str(file)
    async with installation(home, ENGINES[engine], at_once, agent=("-m", "benchmarks.timeline")) as ours:
        await _run(ours, engine, size, name)
    tasks = list(json.loads(file.read_text()).values())
    group = f"{engine}, {at_once} at once"
    return [Figure(group, step, "ms", _durations(tasks, begun, ended)) for step, begun, ended in STEPS]


def _durations(tasks: Iterable[Mapping[str, float]], begun: str, ended: str) -> tuple[float, ...]:
    """Milliseconds: the middle half of the tasks, by quartiles, so that the file stays small."""
    found = sorted(1000 * (task[ended] - task[begun]) for task in tasks if begun in task and ended in task)
    return tuple(found[round(part * (len(found) - 1))] for part in (0.25, 0.5, 0.75))


async def _run(ours: Installation, engine: str, size: int, name: str) -> float:
    return await ours.run(["true"], size, name if engine == DOCKER else None)


def _own_cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _watchdogs(agent: psutil.Process) -> list[psutil.Process]:
    return [child for child in agent.children() if "runner.cli.watchdog" in child.cmdline()]
