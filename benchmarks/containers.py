"""Containers a second, the whole way: from the queue, through the engine, to the record."""

from __future__ import annotations

import asyncio

from benchmarks import harness, image
from benchmarks.bare_engine import bare_engine
from benchmarks.commands import seconds_of
from benchmarks.harness import Bench, Contender, Figure, Ratio, Result, Target
from benchmarks.installation import Installation, installation
from runner.adapters.docker.sandbox import LINGER
from runner.settings import Settings
from runner.wiring import docker_trouble

OURS, XARGS, BARE = "runner", "xargs docker run", "bare loop on the API"
UNIT = "containers/s"

AT_ONCE = (1, 2, 4, 8)


async def run(bench: Bench) -> Result:
    rounds, size = (1, 24) if bench.quick else (3, 96)
    if trouble := await docker_trouble(Settings()):
        return Result(name="containers", figures=(), not_measured=[trouble])
    name = await image.ready()
    figures: list[Figure] = []
    ratios: list[Ratio] = []
    for at_once in AT_ONCE:
        print(f"  {at_once} at once", flush=True)
        samples = await _measure(bench, name, at_once, size, rounds)
        figures += harness.figures(_group(at_once), UNIT, samples)
        against_xargs = Target("at least", 2.2 if at_once <= 4 else 1.8)
        ratios.append(harness.ratio(_group(at_once), samples, OURS, XARGS, against_xargs))
        ratios.append(harness.ratio(_group(at_once), samples, OURS, BARE, Target("at least", 0.9)))
    return Result(
        name="containers",
        figures=figures,
        ratios=ratios,
        terms={
            "containers": size,
            "rounds": rounds,
            "command": "true, in an image of one static busybox",
            OURS: "submit to the job's terminal status; warm agent of N vCPUs, tasks of 1 vCPU and 64 MiB",
            XARGS: "seq … | xargs -P N -n1 docker run --rm IMAGE true: a bridge network each, no limits",
            BARE: "create, start, wait, remove with our own options, joining sandboxes made before",
        },
        not_measured=[
            "cgroup v2, rootless Docker, Docker Desktop, podman",
            "images that have to be pulled",
        ],
    )


async def _measure(
    bench: Bench, name: str, at_once: int, size: int, rounds: int
) -> dict[str, tuple[float, ...]]:
    xargs = ["sh", "-c", f"seq {size} | xargs -P {at_once} -n1 docker run --rm {name} true"]
    home = bench.homes / f"containers-{at_once}"
    async with installation(home, "docker", at_once) as ours, bare_engine(home, name, at_once) as bare:
        await ours.run(["true"], 2 * at_once, name)
        contenders = {
            OURS: _ours(ours, size, name),
            XARGS: harness.rate(size, lambda: seconds_of(xargs)),
            BARE: harness.rate(size, lambda: bare.run(("true",), size)),
        }
        return await harness.interleave(contenders, rounds)


def _ours(ours: Installation, size: int, name: str) -> Contender:
    async def once() -> float:
        taken = await ours.run(["true"], size, name)
        # The agent removes the job's sandboxes some seconds later: that must not fall on the others.
        await asyncio.sleep(LINGER + 2.0)
        return size / taken

    return once


def _group(at_once: int) -> str:
    return f"{at_once} at once"
