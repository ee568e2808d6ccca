"""The backend over the simulated Amazon EMR and a real ledger, in virtual time.

`step` is what the supervisor does for a backend: settle dependencies, start, refresh. Every request is held to
botocore's model of the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from controller import dependencies, submission
from controller.adapters.emr.backend import EmrBackend
from controller.ports import Records
from controller.simulation.clock import now, run
from controller.simulation.network import DirectAws
from controller.simulation.services.dynamodb import DynamoDb
from controller.simulation.services.emr import SimulatedEmr
from controller.simulation.services.emr_cluster import Cluster, Program, StepRun
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.array import Array
from runner.aws import Reply
from runner.emr import Emr, InstanceGroup
from runner.emr_settings import EmrSettings
from runner.model import EMR, Job, TaskId
from runner.ports import Clock, Ledger
from runner.records import AttemptRecord, Ending, JobRecord, TaskRecord
from tests.dynamodb.emulator import a_name, create_table

SETTINGS = EmrSettings("inst", "eu-west-1", log_uri="s3://logs/emr/")
OWN = Emr(
    release="emr-7.5.0",
    main=InstanceGroup("m6i.xlarge"),
    core=InstanceGroup("m6i.2xlarge", 2, spot=True),
    applications=("Spark",),
)

_MODELS = botocore.session.get_session()


class CheckedAws(DirectAws):
    """As boto3 does, it refuses what is not in the service's model."""

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if service == "emr":
            name = "".join(part.capitalize() for part in operation.split("_"))
            shape = _MODELS.get_service_model("emr").operation_model(name).input_shape
            report = ParamValidator().validate(parameters, shape)
            assert not report.has_errors(), report.generate_report()
        await asyncio.sleep(0.05)
        return await super().call(service, operation, **parameters)


async def leads() -> None:
    """Nobody else does."""


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


class Stage:
    def __init__(
        self, records: Records, ledger: Ledger, program: Program, settings: EmrSettings, clock: Clock
    ) -> None:
        self.records, self.ledger, self.settings, self.clock = records, ledger, settings, clock
        self.emr = SimulatedEmr(program)
        self.aws = CheckedAws({"emr": self.emr})
        self.backend = self.another()

    def another(self) -> EmrBackend:
        """As a process has it that was just started."""
        return EmrBackend(self.aws, self.records, self.ledger, self.settings, self.clock, jitter=lambda: 0.5)

    async def submit(self, name: str = "a", emr: Emr = OWN, **changes: Any) -> JobRecord:
        job = Job(
            name, name, ("go",), Array.of_size(1), created_at=self.clock(), backend=EMR, emr=emr, after=()
        )
        record, _ = await self.records.register(replace(job, **changes))
        return record

    async def step(self, backend: EmrBackend | None = None) -> None:
        backend = backend or self.backend
        for record in reversed(await self.records.tidy()):
            if record.released_at is None and record.ending is None:
                parents = {each: await self.records.job(each) for each in record.job.after}
                settled = dependencies.resolve(record, parents, self.clock())
                if isinstance(settled, Ending):
                    await self.records.end(record.job.id, settled)
                elif settled:
                    await self.records.release(record.job.id, self.clock())
        jobs = await self.records.jobs(unfinished=True)
        for record in reversed(jobs):
            await backend.start(record, leads)
        await backend.refresh(jobs, leads)

    async def steps(self, seconds: float, backend: EmrBackend | None = None) -> None:
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

    async def cancel(self, job_id: str = "a") -> None:
        await submission.cancel(self.records, await self.job(job_id), self.clock)

    async def retry(self, job_id: str = "a") -> None:
        await submission.retry(self.records, await self.job(job_id), self.clock, downstream=False)

    async def job(self, job_id: str = "a") -> JobRecord:
        record = await self.records.job(job_id)
        assert record is not None
        return record

    async def task(self, job_id: str = "a") -> TaskRecord:
        record = await self.records.task(TaskId(job_id, 0))
        assert record is not None
        return record

    async def attempts(self, job_id: str = "a") -> Sequence[AttemptRecord]:
        return await self.records.attempts(TaskId(job_id, 0))


LEDGERS = ("sqlite", "dynamodb")


async def make_stage(
    program: Program | None = None,
    settings: EmrSettings = SETTINGS,
    ledger: str = "sqlite",
    clock: Clock = now,
) -> Stage:
    does = program or Does()
    if ledger == "sqlite":
        database = Database.memory()
        return Stage(
            SqliteRecords(database, clock), SqliteLedger(database, clock, 30.0), does, settings, clock
        )
    service, name = DynamoDb(clock), a_name("emr")
    await create_table(service, name)
    table = Table(service, name, lambda: 0.5)
    return Stage(
        DynamoRecords(table, clock, a_name("records")),
        DynamoLedger(table, clock, 30.0, a_name("ledger")),
        does,
        settings,
        clock,
    )


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
