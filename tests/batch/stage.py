"""The backend over the simulated AWS Batch and a real ledger, in virtual time.

What a container sees is what AWS Batch gives it, and, through the shim, what a real `/bin/sh` makes of that.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller.adapters.batch.backend import BatchBackend
from controller.adapters.batch.shim import SHELL
from controller.ports import Records
from controller.simulation.clock import now, run
from controller.simulation.services.batch import Program, SimulatedBatch
from controller.simulation.services.batch_job import Job as BatchJob
from controller.simulation.services.batch_job import Run
from controller.simulation.services.batch_logs import SimulatedBatchLogs, SimulatedEcs
from runner.array import Array
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Job
from runner.ports import Ledger
from runner.records import JobRecord
from tests.backends.stage import BackendStage, open_ledger

SETTINGS = BatchSettings("inst", "eu-west-1", {"default": BatchQueue("default")})


class Items:
    """Manifests in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Sequence[str]] = {}

    async def put(self, items: Any) -> str:
        raise NotImplementedError

    async def get(self, manifest: str, index: int) -> str:
        return self.kept[manifest][index]


def ends_well(_env: Mapping[str, str], _command: Sequence[str]) -> Run:
    return Run()


class Stage(BackendStage[BatchBackend]):
    def __init__(self, records: Records, ledger: Ledger, program: Program, settings: BatchSettings) -> None:
        self.settings, self.items = settings, Items()
        self.batch = SimulatedBatch(program)
        self.logs = SimulatedBatchLogs(self.batch)
        self.ecs = SimulatedEcs(self.batch)
        super().__init__({"batch": self.batch, "logs": self.logs, "ecs": self.ecs}, records, ledger, now)

    def another(self) -> BatchBackend:
        """As a process has it that was just started."""
        return BatchBackend(
            self.aws, self.records, self.ledger, self.items, self.settings, now, jitter=lambda: 0.5
        )

    async def submit(self, name: str = "a", tasks: int = 1, **changes: Any) -> JobRecord:
        job = Job(name, name, ("x",), Array.of_size(tasks), image="image", created_at=now())
        record, _ = await self.records.register(replace(job, **changes))
        return record

    async def running(self, count: int = 1) -> None:
        """Until so many tasks run, as the ledger has it."""
        while (await self.job()).counts.running < count:
            await self.step()
            await asyncio.sleep(5)

    def submitted(self) -> list[dict[str, Any]]:
        return self.batch.called("submit_job")

    def live(self) -> list[BatchJob]:
        every = [each for parent in self.batch.jobs.values() for each in (parent.children or [parent])]
        return [job for job in every if not job.over]


async def make_stage(
    program: Program = ends_well, settings: BatchSettings = SETTINGS, ledger: str = "sqlite"
) -> Stage:
    return Stage(*await open_ledger(ledger, now), program, settings)


def scene(
    play: Callable[[Stage], Awaitable[None]],
    program: Program = ends_well,
    settings: BatchSettings = SETTINGS,
    ledger: str = "sqlite",
) -> None:
    async def main() -> None:
        await play(await make_stage(program, settings, ledger))

    run(main())


def seen(env: Mapping[str, str], command: Sequence[str]) -> dict[str, str]:
    """The variables that the task's own command has."""
    if not command or command[0] != SHELL:
        return dict(env)
    words = [*command[: command.index("runner") + 1], "env", "-0"]
    path = {"PATH": os.environ["PATH"]}
    output = subprocess.run(words, env={**path, **env}, capture_output=True, check=True).stdout
    found = dict(line.split("=", 1) for line in output.decode().split("\0") if line)
    return {
        name: value for name, value in found.items() if name not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_")
    }


def index_of(env: Mapping[str, str], command: Sequence[str]) -> int:
    return int(seen(env, command)["AWS_BATCH_JOB_ARRAY_INDEX"])
