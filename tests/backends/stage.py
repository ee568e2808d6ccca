"""A backend over its simulated service and a real ledger, in virtual time.

`step` is what the supervisor does for a backend: settle dependencies, start, refresh. Every request is held to
botocore's model of the service.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import botocore.session
from botocore.validate import ParamValidator

from controller import dependencies, submission
from controller.ports import Backend, Records
from controller.simulation.clock import now
from controller.simulation.network import DirectAws
from controller.simulation.services.dynamodb import DynamoDb
from controller.simulation.services.service import Simulated
from runner.adapters.dynamodb.ledger import DynamoLedger
from runner.adapters.dynamodb.records import DynamoRecords
from runner.adapters.dynamodb.table import Table
from runner.adapters.sqlite.database import Database
from runner.adapters.sqlite.ledger import SqliteLedger
from runner.adapters.sqlite.records import SqliteRecords
from runner.aws import Reply
from runner.model import TaskId
from runner.ports import Clock, Ledger
from runner.records import AttemptRecord, Ending, JobRecord, TaskRecord
from tests.dynamodb.emulator import a_name, create_table

B = TypeVar("B", bound=Backend)

LEDGERS = ("sqlite", "dynamodb")

_MODELS = botocore.session.get_session()


class CheckedAws(DirectAws):
    """As boto3 does, it refuses what is not in the service's model."""

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        name = "".join(part.capitalize() for part in operation.split("_"))
        shape = _MODELS.get_service_model(service).operation_model(name).input_shape
        report = ParamValidator().validate(parameters, shape)
        assert not report.has_errors(), report.generate_report()
        await asyncio.sleep(0.05)
        return await super().call(service, operation, **parameters)


async def leads() -> None:
    """Nobody else does."""


async def open_ledger(kind: str, clock: Clock) -> tuple[Records, Ledger]:
    if kind == "sqlite":
        database = Database.memory()
        return SqliteRecords(database, clock), SqliteLedger(database, clock, 30.0)
    service, name = DynamoDb(clock), a_name("table")
    await create_table(service, name)
    table = Table(service, name, lambda: 0.5)
    return DynamoRecords(table, clock, a_name("records")), DynamoLedger(table, clock, 30.0, a_name("ledger"))


class BackendStage(ABC, Generic[B]):
    """`clock`: what the backend's process takes for the time."""

    def __init__(
        self, services: Mapping[str, Simulated], records: Records, ledger: Ledger, clock: Clock
    ) -> None:
        self.aws = CheckedAws(services)
        self.records, self.ledger, self.clock = records, ledger, clock
        self.backend = self.another()

    @abstractmethod
    def another(self) -> B:
        """As a process has it that was just started."""

    async def step(self, backend: B | None = None) -> None:
        backend = backend or self.backend
        for record in reversed(await self.records.tidy()):
            if record.released_at is None and record.ending is None:
                parents = {each: await self.records.job(each) for each in record.job.after}
                settled = dependencies.resolve(record, parents, self.clock())
                if isinstance(settled, Ending):
                    await self.records.end(record.job.id, settled)
                elif settled:
                    await self.records.release(record.job.id, self.clock())
        for record in reversed(await self.records.jobs(unfinished=True)):
            await backend.start(record, leads)
        await backend.refresh(await self.records.jobs(unfinished=True), leads)

    async def steps(self, seconds: float, backend: B | None = None) -> None:
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
        await submission.cancel(self.records, await self.job(job_id), self.clock)

    async def retry(self, job_id: str = "a") -> None:
        await submission.retry(self.records, await self.job(job_id), self.clock, downstream=False)

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
