"""Attempts, their records and their output, for the tests of logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.simulation.clock import now
from controller.simulation.services.s3 import SimulatedS3
from runner.adapters.files import FileLogWriter
from runner.adapters.s3.logs import S3Logs
from runner.adapters.s3.reading import S3LogReader
from runner.model import Attempt, Kind, Outcome, TaskId
from runner.ports import LogWriter
from runner.records import Recorded

OWNER = "i-0abc#1f2e3d4c"
LIMIT = 10 * 1024 * 1024


def attempt(index: int = 0, number: int = 1) -> Attempt:
    return Attempt(task=TaskId("job-1", index), number=number, tries=1, owner=OWNER, memory=1)


def spool(path: str) -> LogWriter:
    return FileLogWriter(path, LIMIT)


def agent_logs(aws: SimulatedS3, folder: Path, owner: str = OWNER, **more: Any) -> S3Logs:
    return S3Logs(aws, "bucket", owner, folder, spool, now, jitter=lambda: 1.0, **more)


def write(logs: S3Logs, data: bytes, index: int = 0) -> LogWriter:
    """One attempt's whole life, as far as its log is concerned."""
    writer = logs.writer(attempt(index))
    writer.write(data)
    writer.close()
    return writer


def outcome(writer: LogWriter, kind: Kind = Kind.SUCCEEDED) -> Outcome:
    return Outcome(
        kind,
        started_at=1.0,
        log_bytes=writer.written,
        log_dropped=writer.dropped,
        log=writer.place,
    )


async def read(reader: S3LogReader, writer: LogWriter, index: int = 0, start: int = 0) -> bytes:
    recorded = Recorded(OWNER, 1.0, outcome(writer))
    return b"".join([data async for data in reader.read(TaskId("job-1", index), 1, start, recorded)])
