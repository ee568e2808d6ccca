"""The backend over the simulated AWS Batch and a real ledger, in virtual time.

`step` is what the supervisor does for a backend: settle dependencies, start, refresh. Every request is held to
botocore's model of the service. What a container sees is what AWS Batch gives it, and, through the shim, what a real
`/bin/sh` makes of that.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from controller import dependencies, submission
from controller.adapters.batch.backend import BatchBackend
from controller.adapters.batch.shim import SHELL
from controller.ports import Records
from controller.simulation.clock import now, run
from controller.simulation.network import DirectAws
from controller.simulation.services.batch import Program, SimulatedBatch
from controller.simulation.services.batch_job import Job as BatchJob
from controller.simulation.services.batch_job import Run
from controller.simulation.services.batch_logs import SimulatedBatchLogs, SimulatedEcs
from controller.simulation.services.dynamodb import DynamoDb
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.aws import Reply
from runner.batch_settings import BatchQueue, BatchSettings
from runner.model import Job, TaskId
from runner.ports import Ledger
from runner.records import AttemptRecord, Ending, JobRecord, TaskRecord
from tests.dynamodb.emulator import a_name, create_table

SETTINGS = BatchSettings("inst", "eu-west-1", {"default": BatchQueue("default")})

_MODELS = botocore.session.get_session()


class CheckedAws(DirectAws):
    """As boto3 does, it refuses what is not in the service's model."""

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if service in ("batch", "logs", "ecs"):
            model = _MODELS.get_service_model(service)
            name = "".join(part.capitalize() for part in operation.split("_"))
            report = ParamValidator().validate(parameters, model.operation_model(name).input_shape)
            assert not report.has_errors(), report.generate_report()
        await asyncio.sleep(0.05)
        return await super().call(service, operation, **parameters)


class Items:
    """Manifests in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Sequence[str]] = {}

    async def put(self, items: Any) -> str:
        raise NotImplementedError

    async def get(self, manifest: str, index: int) -> str:
        return self.kept[manifest][index]


async def leads() -> None:
    """Nobody else does."""


def ends_well(_env: Mapping[str, str], _command: Sequence[str]) -> Run:
    return Run()


class Stage:
    def __init__(self, records: Records, ledger: Ledger, program: Program, settings: BatchSettings) -> None:
        self.records, self.ledger, self.settings = records, ledger, settings
        self.batch = SimulatedBatch(program)
        self.logs = SimulatedBatchLogs(self.batch)
        self.ecs = SimulatedEcs(self.batch)
        self.items = Items()
        self.aws = CheckedAws({"batch": self.batch, "logs": self.logs, "ecs": self.ecs})
        self.backend = self.another()

    def another(self) -> BatchBackend:
        """As a process has it that was just started."""
        return BatchBackend(
            self.aws, self.records, self.ledger, self.items, self.settings, now, jitter=lambda: 0.5
        )

    async def submit(self, name: str = "a", tasks: int = 1, **changes: Any) -> JobRecord:
        job = Job(name, name, ("x",), Array.of_size(tasks), image="image", created_at=now())
        record, _ = await self.records.register(replace(job, **changes))
        return record

    async def step(self, backend: BatchBackend | None = None) -> None:
        backend = backend or self.backend
        for record in reversed(await self.records.tidy()):
            if record.released_at is None and record.ending is None:
                parents = {each: await self.records.job(each) for each in record.job.after}
                settled = dependencies.resolve(record, parents, now())
                if isinstance(settled, Ending):
                    await self.records.end(record.job.id, settled)
                elif settled:
                    await self.records.release(record.job.id, now())
        for record in reversed(await self.records.jobs(unfinished=True)):
            await backend.start(record, leads)
        await backend.refresh(await self.records.jobs(unfinished=True), leads)

    async def steps(self, seconds: float, backend: BatchBackend | None = None) -> None:
        until = now() + seconds
        while now() < until:
            await self.step(backend)
            await asyncio.sleep(5)

    async def finish(self, job_id: str = "a", within: float = 7200) -> JobRecord:
        until = now() + within
        while not (record := await self.job(job_id)).status.terminal:
            assert now() < until, record
            await self.step()
            await asyncio.sleep(5)
        return record

    async def cancel(self, job_id: str = "a") -> None:
        await submission.cancel(self.records, await self.job(job_id), now)

    async def retry(self, job_id: str = "a") -> None:
        await submission.retry(self.records, await self.job(job_id), now, downstream=False)

    async def job(self, job_id: str = "a") -> JobRecord:
        record = await self.records.job(job_id)
        assert record is not None
        return record

    async def task(self, index: int = 0, job_id: str = "a") -> TaskRecord:
        record = await self.records.task(TaskId(job_id, index))
        assert record is not None
        return record

    async def attempts(self, index: int = 0, job_id: str = "a") -> Sequence[AttemptRecord]:
        return await self.records.attempts(TaskId(job_id, index))

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


LEDGERS = ("sqlite", "dynamodb")


async def make_stage(
    program: Program = ends_well, settings: BatchSettings = SETTINGS, ledger: str = "sqlite"
) -> Stage:
    if ledger == "sqlite":
        database = Database.memory()
        return Stage(SqliteRecords(database, now), SqliteLedger(database, now, 30.0), program, settings)
    service, name = DynamoDb(now), a_name("batch")
    await create_table(service, name)
    table = Table(service, name, lambda: 0.5)
    return Stage(
        DynamoRecords(table, now, a_name("records")),
        DynamoLedger(table, now, 30.0, a_name("ledger")),
        program,
        settings,
    )


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
