"""Tasks a second in mode fleet beside Celery: the command `true`, queue and records in the same emulator of AWS.

Every sample has an emulator, a queue and a worker of its own, so that none inherits another's backlog. The emulator and
the worker share this machine; what the emulator was asked, and how busy it was, is told with the rate.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness, peers
from benchmarks.emulator import SERVICES, Load, emulator, load_of
from benchmarks.fleet_installation import Installation, installation
from benchmarks.harness import Bench, Contender, Figure, Ratio, Result, Target

OURS = "runner"
EARLY, LATE = "Celery, acknowledged early", "Celery, acknowledged late"
RECORDED, USUAL = "Celery, late, results in DynamoDB", "Celery as it comes"
WAYS = {EARLY: "early", LATE: "late", RECORDED: "recorded", USUAL: "usual"}
AT_LEAST = Target("at least", 1.0)
TARGETS = {EARLY: AT_LEAST, LATE: AT_LEAST, RECORDED: AT_LEAST}

WARM, FULL = "from the first send", "from a full queue"
BEGINNINGS = {WARM: "warm", FULL: "full"}
CONDITIONS = ((2, WARM), (2, FULL), (16, FULL))

# Deletes may wait so long for company, in seconds; they are requests of these tasks as well.
SETTLING = 6.0
WARMING = 64


@dataclass(frozen=True)
class Sample:
    """`seconds`: of which the benchmark is about; `load`: of the emulator, from the first send to the last delete."""

    seconds: float
    load: Load


Measure = Callable[[int, int, str], Coroutine[Any, Any, Sample]]
"""Of so many tasks, on so many slots, begun in one of BEGINNINGS."""


async def run(bench: Bench) -> Result:
    rounds, size, conditions = (1, 200, CONDITIONS[:2]) if bench.quick else (3, 2000, CONDITIONS)
    interpreter = peers.python(bench.space)
    measures: dict[str, Measure] = {OURS: Ours(bench.homes).measure}
    measures |= {name: Celery(interpreter, bench.homes, way).measure for name, way in WAYS.items()}
    figures: list[Figure] = []
    ratios: list[Ratio] = []
    for slots, beginning in conditions:
        group = f"{slots} slots, {beginning}"
        loads: dict[str, list[tuple[int, Sample]]] = defaultdict(list)
        contenders = {
            name: _contender(measure, _size(name, size), slots, BEGINNINGS[beginning], loads[name])
            for name, measure in measures.items()
        }
        samples = await harness.interleave(contenders, rounds)
        figures += harness.figures(group, "tasks/s", samples)
        if beginning == WARM:  # there the sends are in the time as well as among the requests
            figures += _loads(slots, loads)
        ratios += [harness.ratio(group, samples, OURS, peer, TARGETS.get(peer)) for peer in WAYS]
    return Result("fleet", figures, ratios, _terms(size, rounds, interpreter), NOT_MEASURED)


NOT_MEASURED = (
    "SQS and DynamoDB themselves, which answer later, and many at once",
    "several machines on one queue",
)


def _terms(size: int, rounds: int, interpreter: Path) -> Mapping[str, object]:
    return {
        "tasks": size,
        "rounds": rounds,
        "peers": {name: version for name, version in peers.versions(interpreter).items() if name == "celery"},
        "emulator": "ministack, one process on the same machine, new for each sample",
        OURS: (
            "the agent of mode fleet with the process engine; every begin and end a conditional write to DynamoDB; "
            "a supervisor; timed to the last task whose record stands and is counted"
        ),
        "Celery": "prefork, subprocess.run(['true']); 64 ahead per process, an empty look repeated after 20 ms",
        RECORDED: "task_acks_late, and a result kept for each task, which is read before it is written",
        USUAL: "every setting at its default: four ahead per process, a second between looks while it has them",
        WARM: "a worker waits; the array is submitted, or one task sent after the other",
        FULL: "all has been sent before a worker starts; from the first task that is done",
    }


def _size(name: str, size: int) -> int:
    """A fifteenth of a rate that is a fifteenth."""
    return max(100, size // 15) if name == USUAL else size


def _contender(
    measure: Measure, size: int, slots: int, beginning: str, kept: list[tuple[int, Sample]]
) -> Contender:
    async def once() -> float:
        sample = await measure(size, slots, beginning)
        kept.append((size, sample))
        return size / sample.seconds

    return once


def _loads(slots: int, loads: Mapping[str, Sequence[tuple[int, Sample]]]) -> list[Figure]:
    """What each contender asks of the emulator, and how busy it keeps it."""
    found = []
    for name, kept in loads.items():
        for service in SERVICES:
            per_task = tuple(sample.load.of_service(service) / size for size, sample in kept)
            if any(per_task):
                found.append(Figure(f"{slots} slots, emulated {service}", name, "requests/task", per_task))
        rates = tuple(sum(sample.load.requests.values()) / sample.seconds for _, sample in kept)
        busy = tuple(100 * sample.load.cpu / sample.seconds for _, sample in kept)
        found.append(Figure(f"{slots} slots, emulator", name, "requests/s", rates))
        found.append(Figure(f"{slots} slots, emulator", name, "% of a core", busy))
    return sorted(found, key=lambda figure: figure.group)


class Ours:
    def __init__(self, space: Path) -> None:
        self._homes = (space / f"fleet-{number}" for number in itertools.count())

    async def measure(self, size: int, slots: int, beginning: str) -> Sample:
        with emulator() as endpoint:
            async with installation(next(self._homes), endpoint, slots) as ours:
                supervising = asyncio.create_task(ours.parts.supervisor().run())
                try:
                    timed = self._warm if beginning == "warm" else self._full
                    return await timed(ours, endpoint, size)
                finally:
                    supervising.cancel()
                    with suppress(asyncio.CancelledError):
                        await supervising

    async def _warm(self, ours: Installation, endpoint: str, size: int) -> Sample:
        ours.boot()
        await ours.ended(await ours.submit(WARMING))
        known, before, begun = len(ours.times()), load_of(endpoint), ours.parts.now()
        job = await ours.submit(size)
        times = (await ours.done(known + size))[known:]
        await asyncio.sleep(SETTLING)
        load = load_of(endpoint).since(before)
        await ours.ended(job)
        return Sample(max(times) - begun, load)

    async def _full(self, ours: Installation, endpoint: str, size: int) -> Sample:
        before = load_of(endpoint)
        job = await ours.fill(size)
        ours.boot()
        times = await ours.done(size)
        load = load_of(endpoint).since(before)
        await ours.ended(job)
        return Sample(max(times) - min(times), load)


class Celery:
    def __init__(self, interpreter: Path, space: Path, way: str) -> None:
        self._interpreter = interpreter
        self._space = space
        self._way = way

    async def measure(self, size: int, slots: int, beginning: str) -> Sample:
        arguments = (str(size), str(slots), self._way, beginning)
        with emulator() as endpoint:
            told = json.loads(
                await peers.output_of(
                    self._interpreter, "celery_tasks.py", *arguments, endpoint, space=self._space
                )
            )
        return Sample(told["seconds"], Load.of(told["after"]).since(Load.of(told["before"])))
