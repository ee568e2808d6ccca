"""Reading logs back from simulated S3."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.simulation.clock import EPOCH, now, run
from controller.simulation.services.s3 import SimulatedS3
from controller.simulation.services.service import throttled
from runner.adapters.files import FileLogWriter
from runner.adapters.s3.places import Place
from runner.adapters.s3.reading import PATIENCE, RECENT, S3LogReader, Window, Windows
from runner.aws import Reply
from runner.errors import NotFound, StorageError
from runner.model import Kind, Outcome, TaskId
from runner.records import Recorded
from tests.s3.attempts import OWNER, agent_logs, read, write

TASK = TaskId("job-1", 0)


def stored(place: str | Place, kind: Kind = Kind.SUCCEEDED, started_at: float | None = 1.0) -> Recorded:
    return Recorded(OWNER, 1.0, Outcome(kind, started_at=started_at, log=str(place)))


async def kept(reader: S3LogReader, recorded: Recorded, start: int = 0) -> bytes:
    return b"".join([data async for data in reader.read(TASK, 1, start, recorded)])


def of(aws: SimulatedS3, recorded: Recorded, start: int = 0) -> bytes:
    """What a new reader reads."""

    async def main() -> bytes:
        return await kept(S3LogReader(aws, "bucket", now), recorded, start)

    return run(main())


@pytest.fixture
def aws() -> SimulatedS3:
    s3 = SimulatedS3()
    s3.objects["logs/h/1/5-1"] = b"0123456789"
    return s3


def test_only_the_attempts_own_bytes_are_read(aws: SimulatedS3) -> None:
    assert of(aws, stored("logs/h/1/5-1:3:4")) == b"3456"


def test_reading_starts_at_any_byte(aws: SimulatedS3) -> None:
    assert of(aws, stored("logs/h/1/5-1:3:4"), start=2) == b"56"


def test_there_is_nothing_behind_the_end(aws: SimulatedS3) -> None:
    assert of(aws, stored("logs/h/1/5-1:3:4"), start=4) == b""


def test_neighbours_are_read_with_one_request(aws: SimulatedS3) -> None:
    async def main() -> list[bytes]:
        reader = S3LogReader(aws, "bucket", now)
        return [await kept(reader, stored(Place("logs/h/1/5-1", at, 2))) for at in (0, 2, 4, 6, 8)]

    assert run(main()) == [b"01", b"23", b"45", b"67", b"89"]
    assert len(aws.calls) == 1


LOG = 2048


class Hosts:
    """Segments of many hosts, in which the logs of one job lie with `others` logs of other jobs behind each. Tasks end
    in nearly the order of their numbers."""

    def __init__(self, hosts: int, logs_each: int, others: int = 0) -> None:
        self.aws = Weighed()
        chance = random.Random(7)
        ended = sorted(range(hosts * logs_each), key=lambda index: index + chance.uniform(0, 3 * hosts))
        self._places: dict[int, Place] = {}
        segments: defaultdict[str, bytearray] = defaultdict(bytearray)
        for index in ended:
            key = f"logs/h{chance.randrange(hosts)}/1/5-1"
            self._places[index] = Place(key, len(segments[key]), LOG)
            segments[key] += b"%08d" % index * (LOG // 8) + bytes(others * LOG)
        self.aws.objects = {key: bytes(segment) for key, segment in segments.items()}

    @property
    def places(self) -> list[Place]:
        """In the order of the tasks."""
        return [place for _, place in sorted(self._places.items())]

    async def read_all(self) -> None:
        reader = S3LogReader(self.aws, "bucket", now)
        for index, place in enumerate(self.places):
            assert await kept(reader, stored(place)) == b"%08d" % index * (LOG // 8)


class Weighed(SimulatedS3):
    """Counts the bytes that it sends."""

    sent = 0

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        reply = await super().call(service, operation, urgent=urgent, **parameters)
        self.sent += len(reply.get("Body", b""))
        return reply


@pytest.mark.parametrize(
    ("hosts", "logs_each", "others"),
    [(200, 100, 0), (200, 1, 100), (50, 20, 40), (1, 1000, 0), (300, 3, 30), (20, 100, 7)],
)
def test_reading_the_logs_of_many_hosts_in_the_order_of_the_tasks_brings_no_more_than_a_few_times_their_bytes(
    hosts: int, logs_each: int, others: int
) -> None:
    segments = Hosts(hosts, logs_each, others)
    run(segments.read_all())
    assert segments.aws.sent <= 3 * hosts * logs_each * LOG


def test_the_logs_of_many_hosts_share_requests() -> None:
    segments = Hosts(200, 100)
    run(segments.read_all())
    assert len(segments.aws.calls) <= 200 * 100 / 8


def test_no_more_is_remembered_than_there_is_memory_for() -> None:
    windows = Windows(memory=100)
    for nth in range(1000):
        windows.put(f"logs/h{nth % 7}/1/5-1", Window(nth * 30, bytes(30)))
        assert windows.size <= 100


def test_what_was_not_asked_for_the_longest_is_forgotten_first() -> None:
    windows = Windows(memory=100)
    for key in "ab":
        windows.put(key, Window(0, bytes(40)))
    windows.find("a", 0)
    windows.put("c", Window(0, bytes(40)))
    assert [key for key in "abc" if windows.find(key, 0)] == ["a", "c"]


def test_a_large_log_is_read_in_pieces(aws: SimulatedS3) -> None:
    aws.objects["logs/h/1/5-2"] = bytes(range(256)) * 20_000
    assert of(aws, stored("logs/h/1/5-2:0:5120000")) == aws.objects["logs/h/1/5-2"]
    assert len(aws.calls) == 5


def test_an_object_that_ends_early_is_reported(aws: SimulatedS3) -> None:
    with pytest.raises(NotFound, match="ends early"):
        of(aws, stored("logs/h/1/5-1:20:4"))


def test_an_attempt_without_output_is_empty_and_asks_for_nothing(aws: SimulatedS3) -> None:
    assert (of(aws, stored("")), aws.calls) == (b"", [])


def test_a_log_that_is_still_on_its_way_is_waited_for(tmp_path: Path) -> None:
    async def main() -> bytes:
        aws = SimulatedS3()
        logs = agent_logs(aws, tmp_path)
        logs.start()
        writer = write(logs, b"just now")
        text = await read(S3LogReader(aws, "bucket", now), writer)
        await logs.close()
        return text

    assert run(main()) == b"just now"


def test_a_log_that_never_comes_is_reported_after_a_while(aws: SimulatedS3) -> None:
    async def main() -> float:
        with pytest.raises(NotFound, match="its host was lost"):
            await kept(S3LogReader(aws, "bucket", now), stored(f"logs/h/1/{int(EPOCH)}-2:0:4"))
        return asyncio.get_running_loop().time()

    assert PATIENCE <= run(main()) < PATIENCE + 2


def test_the_logs_of_a_lost_host_are_waited_for_once_not_each(aws: SimulatedS3) -> None:
    async def main() -> float:
        reader = S3LogReader(aws, "bucket", now)
        for index in range(10):
            with pytest.raises(NotFound):
                await kept(reader, stored(f"logs/h/1/{int(EPOCH)}-2:{index}:1"))
        return asyncio.get_running_loop().time()

    assert run(main()) < PATIENCE + 2


def test_an_old_log_that_is_gone_is_not_waited_for(aws: SimulatedS3) -> None:
    async def main() -> float:
        with pytest.raises(NotFound):
            await kept(S3LogReader(aws, "bucket", now), stored(f"logs/h/1/{int(EPOCH - RECENT)}-2:0:4"))
        return asyncio.get_running_loop().time()

    assert run(main()) == 0


def test_an_attempt_taken_over_from_a_silent_host_has_lost_its_output(aws: SimulatedS3) -> None:
    with pytest.raises(NotFound, match="lost with its host"):
        of(aws, stored("", Kind.LOST, started_at=None))


@pytest.mark.parametrize(
    "place",
    ["logs/h:1", "logs/h:1:x", "manifests/h:0:4", "/etc/passwd:0:4", "logs/ h:0:1", "logs/h\n:0:1", "x"],
)
def test_a_place_that_leads_elsewhere_is_refused(aws: SimulatedS3, place: str) -> None:
    with pytest.raises(StorageError, match="damaged"):
        of(aws, stored(place))
    assert aws.calls == []


def test_what_s3_says_is_passed_on(aws: SimulatedS3) -> None:
    aws.down = throttled()
    with pytest.raises(type(throttled()), match="Rate exceeded"):
        of(aws, stored("logs/h/1/5-1:3:4"))


def test_a_running_attempt_shows_nothing_without_live_output(aws: SimulatedS3) -> None:
    reader = S3LogReader(aws, "bucket", now)
    assert (of(aws, Recorded(OWNER, 1.0)), reader.live) == (b"", False)


class Shown:
    """Live output that tells what it was asked for."""

    async def read(
        self, task: TaskId, number: int, start: int, owner: str, begun_at: float
    ) -> AsyncIterator[bytes]:
        yield f"{task}#{number} {start} {owner} {begun_at}".encode()


def test_a_running_attempt_is_read_live(aws: SimulatedS3) -> None:
    async def main() -> bytes:
        reader = S3LogReader(aws, "bucket", now, Shown())
        assert reader.live
        return await kept(reader, Recorded(OWNER, 7.0), 3)

    assert run(main()) == f"job-1/0#1 3 {OWNER} 7.0".encode()


def test_a_spool_of_files_leaves_the_place_empty(tmp_path: Path) -> None:
    assert FileLogWriter(str(tmp_path / "log"), 10).place == ""
