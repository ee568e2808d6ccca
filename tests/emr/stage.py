"""The backend over the simulated Amazon EMR and a real ledger, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from controller.adapters.emr.backend import EmrBackend
from controller.ports import Records
from controller.simulation.clock import now, run
from controller.simulation.services.emr import SimulatedEmr
from controller.simulation.services.emr_cluster import Cluster, Program, StepRun
from runner.array import Array
from runner.emr import Emr, InstanceGroup
from runner.emr_settings import EmrSettings
from runner.model import EMR, Job
from runner.ports import Clock, Ledger
from runner.records import JobRecord
from tests.backends.stage import BackendStage, open_ledger

SETTINGS = EmrSettings("inst", "eu-west-1", log_uri="s3://logs/emr/")
OWN = Emr(
    release="emr-7.5.0",
    main=InstanceGroup("m6i.xlarge"),
    core=InstanceGroup("m6i.2xlarge", 2, spot=True),
    applications=("Spark",),
)


class Does:
    """Each step as long as told. `failing`: how often a word's step fails before it does not any more."""

    def __init__(self, seconds: float = 600.0, failing: dict[str, int] | None = None) -> None:
        self.seconds = seconds
        self.failing = dict(failing or {})
        self.ran: list[Sequence[str]] = []

    def __call__(self, words: Sequence[str]) -> StepRun:
        self.ran.append(words)
        for word, left in self.failing.items():
            if word in words and left > 0:
                self.failing[word] = left - 1
                return StepRun(self.seconds, f"{word} does not work")
        return StepRun(self.seconds)


class Stage(BackendStage[EmrBackend]):
    def __init__(
        self, records: Records, ledger: Ledger, program: Program, settings: EmrSettings, clock: Clock
    ) -> None:
        self.settings, self.emr = settings, SimulatedEmr(program)
        super().__init__({"emr": self.emr}, records, ledger, clock)

    def another(self) -> EmrBackend:
        """As a process has it that was just started."""
        return EmrBackend(self.aws, self.records, self.ledger, self.settings, self.clock, jitter=lambda: 0.5)

    async def submit(self, name: str = "a", emr: Emr = OWN, **changes: Any) -> JobRecord:
        job = Job(
            name, name, ("go",), Array.of_size(1), created_at=self.clock(), backend=EMR, emr=emr, after=()
        )
        record, _ = await self.records.register(replace(job, **changes))
        return record

    async def until(self, state: str, within: float = 3600) -> Cluster:
        """Until the latest cluster is in that state."""
        until = now() + within
        while not self.emr.clusters or self.latest.state != state:
            assert now() < until, state
            await self.step()
            await asyncio.sleep(5)
        return self.latest

    @property
    def latest(self) -> Cluster:
        return list(self.emr.clusters.values())[-1]


async def make_stage(
    program: Program | None = None,
    settings: EmrSettings = SETTINGS,
    ledger: str = "sqlite",
    clock: Clock = now,
) -> Stage:
    return Stage(*await open_ledger(ledger, clock), program or Does(), settings, clock)


def scene(
    play: Callable[[Stage], Awaitable[None]],
    program: Program | None = None,
    settings: EmrSettings = SETTINGS,
    ledger: str = "sqlite",
    clock: Clock = now,
) -> None:
    async def main() -> None:
        await play(await make_stage(program, settings, ledger, clock))

    run(main())
