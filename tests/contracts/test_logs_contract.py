"""What every log store keeps of an attempt, and gives back. S3 is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.ports import LogReader
from controller.simulation.clock import EPOCH
from controller.simulation.services.s3 import SimulatedS3
from runner.adapters.files import FileLogs, FileLogWriter
from runner.adapters.s3.logs import S3Logs
from runner.adapters.s3.reading import S3LogReader
from runner.errors import BadInput
from runner.model import Attempt, Kind, Outcome, TaskId
from runner.ports import Logs, LogWriter
from runner.records import Recorded

LIMIT = 1024 * 1024
OWNER = "host#1"
TASK = TaskId("job-1", 42_137)


@dataclass
class Store:
    """Agents write through `logs`, users read through `reader`."""

    logs: Logs
    reader: LogReader

    def writer(self, number: int = 1, task: TaskId = TASK) -> LogWriter:
        return self.logs.writer(Attempt(task, number, 1, OWNER, 1))

    def write(self, *chunks: bytes, number: int = 1) -> LogWriter:
        writer = self.writer(number)
        for chunk in chunks:
            writer.write(chunk)
        writer.close()
        return writer

    async def read(self, writer: LogWriter, *, number: int = 1, start: int = 0) -> bytes:
        await self.logs.flush()
        outcome = Outcome(Kind.SUCCEEDED, started_at=EPOCH, log=writer.place)
        found = self.reader.read(TASK, number, start, Recorded(OWNER, EPOCH, outcome))
        return b"".join([data async for data in found])


@pytest.fixture(params=["files", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "files":
        files = FileLogs(tmp_path, LIMIT)
        yield Store(files, files)
        return
    aws = SimulatedS3()
    logs = S3Logs(aws, "bucket", OWNER, tmp_path, lambda path: FileLogWriter(path, LIMIT), lambda: EPOCH)
    logs.start()
    yield Store(logs, S3LogReader(aws, "bucket", lambda: EPOCH))
    await logs.close()


async def test_what_was_written_is_read(store: Store) -> None:
    assert await store.read(store.write(b"one\n", b"", b"two \xff\0\n")) == b"one\ntwo \xff\0\n"


async def test_reading_starts_at_any_byte(store: Store) -> None:
    writer = store.write(b"one\ntwo\n")
    assert await store.read(writer, start=4) == b"two\n"
    assert await store.read(writer, start=100) == b""


async def test_an_attempt_that_wrote_nothing_has_nothing_to_read(store: Store) -> None:
    writer = store.write()
    assert (await store.read(writer), writer.written, writer.dropped) == (b"", 0, 0)


async def test_attempts_have_logs_of_their_own(store: Store) -> None:
    first, second = store.write(b"first", number=1), store.write(b"second", number=2)
    assert await store.read(first, number=1) == b"first"
    assert await store.read(second, number=2) == b"second"


async def test_attempts_that_run_together_do_not_mix(store: Store) -> None:
    writers = [store.writer(number) for number in (1, 2)]
    for _ in range(3):
        for number, writer in enumerate(writers, start=1):
            writer.write(b"%d" % number)
    for writer in writers:
        writer.close()
    assert [await store.read(writer, number=n) for n, writer in enumerate(writers, 1)] == [b"111", b"222"]


async def test_a_writer_starts_its_attempts_log_anew(store: Store) -> None:
    store.writer().write(b"of an agent that was killed")
    assert await store.read(store.write(b"from the beginning")) == b"from the beginning"


async def test_of_a_flood_the_beginning_and_the_end_are_kept_and_the_rest_counted(store: Store) -> None:
    writer = store.write(*(b"%09d\n" % n for n in range(300_000)))
    text = await store.read(writer)
    assert text.startswith(b"%09d\n" % 0)
    assert text.endswith(b"%09d\n" % 299_999)
    assert writer.written == 3_000_000 == LIMIT + writer.dropped
    assert LIMIT <= len(text) < LIMIT + 100


async def test_closing_twice_changes_nothing(store: Store) -> None:
    writer = store.write(b"some")
    place = writer.place
    writer.close()
    assert (writer.place, await store.read(writer)) == (place, b"some")


@pytest.mark.parametrize("job", ["../up", "a/b", "", "x" * 200, "a\0b"])
async def test_a_jobs_name_leads_nowhere_else(store: Store, job: str) -> None:
    with pytest.raises(BadInput):
        store.writer(task=TaskId(job, 0))


async def test_many_logs_at_once_are_told_apart(store: Store) -> None:
    async def one(number: int) -> tuple[int, LogWriter]:
        writer = store.writer(number)
        for _ in range(3):
            writer.write(b"%d," % number)
            await asyncio.sleep(0)
        writer.close()
        return number, writer

    for number, writer in await asyncio.gather(*map(one, range(1, 101))):
        assert await store.read(writer, number=number) == b"%d," % number * 3
