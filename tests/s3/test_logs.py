"""An agent's logs on their way to S3: simulated S3, real files, virtual time."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from controller.simulation.clock import now, run
from controller.simulation.services.s3 import SimulatedS3
from controller.simulation.services.service import denied, refused, throttled
from runner.adapters.s3.logs import LARGEST_SHARED, S3Logs
from runner.adapters.s3.outbox import SEGMENT
from runner.adapters.s3.places import parse_place
from runner.adapters.s3.reading import S3LogReader
from runner.adapters.s3.shipping import ENOUGH, IDLE, LINGER, LONGEST_LINGER
from runner.errors import Unavailable
from tests.s3.attempts import agent_logs, attempt, read, write

Work = Callable[[S3Logs, SimulatedS3], Awaitable[None]]


def while_running(folder: Path, work: Work, aws: SimulatedS3 | None = None, **more: object) -> SimulatedS3:
    aws = aws or SimulatedS3()

    async def main() -> None:
        logs = agent_logs(aws, folder, **more)
        logs.start()
        try:
            await work(logs, aws)
        finally:
            await logs.close()

    run(main())
    return aws


def everything(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def test_what_a_task_wrote_is_in_s3_seconds_after_its_end(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        writer = write(logs, b"one\ntwo\n")
        await asyncio.sleep(LINGER + 0.1)
        assert await read(S3LogReader(aws, "bucket", now), writer) == b"one\ntwo\n"

    while_running(tmp_path, work)


def test_the_place_is_known_before_anything_is_stored(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        writer = write(logs, b"some")
        assert (parse_place(writer.place).length, aws.calls) == (4, [])

    while_running(tmp_path, work)


def test_a_place_takes_little_of_a_record(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        assert len(write(logs, b"some").place) <= 70

    while_running(tmp_path, work, owner="i-0123456789abcdef0#1f2e3d4c")


def test_logs_of_many_tasks_share_an_object(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        writers = [write(logs, b"%03d\n" % index, index) for index in range(500)]
        await asyncio.sleep(LINGER + 0.1)
        reader = S3LogReader(aws, "bucket", now)
        assert [await read(reader, writer) for writer in writers] == [b"%03d\n" % n for n in range(500)]
        assert len(aws.objects) == 1

    while_running(tmp_path, work)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 9.9])
def test_a_busy_agent_of_16_slots_needs_less_than_a_twentieth_of_a_request_per_task(
    tmp_path: Path, seconds: float
) -> None:
    """Up to the longest of the tasks that the figure is for: those just shorter than a fleet's beat of 10 s."""
    tasks = 16 * 40

    async def slot(logs: S3Logs, number: int) -> None:
        await asyncio.sleep(seconds * number / 16)
        for index in range(number, tasks, 16):
            writer = logs.writer(attempt(index))
            await asyncio.sleep(seconds)
            writer.write(b"x" * 2000)
            writer.close()

    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(slot(logs, number))
        await logs.flush()
        assert sum(map(len, aws.objects.values())) == 2000 * tasks
        assert len(aws.calls) / tasks <= 0.05

    while_running(tmp_path, work)


def test_a_single_tasks_log_is_stored_soon_when_nothing_else_runs(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        write(logs, b"some")
        await asyncio.sleep(IDLE + 0.1)
        assert list(aws.objects.values()) == [b"some"]

    while_running(tmp_path, work)


def test_while_others_run_a_log_waits_for_theirs_but_not_for_ever(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        other = logs.writer(attempt(1))
        write(logs, b"some")
        await asyncio.sleep(LONGEST_LINGER - 0.1)
        assert aws.objects == {}
        await asyncio.sleep(0.2)
        assert list(aws.objects.values()) == [b"some"]
        other.close()

    while_running(tmp_path, work)


def test_enough_logs_wait_less_long(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        other = logs.writer(attempt(1000))
        for index in range(ENOUGH):
            write(logs, b"x", index)
        await asyncio.sleep(LINGER + 0.1)
        assert list(aws.objects.values()) == [b"x" * ENOUGH]
        other.close()

    while_running(tmp_path, work)


def test_a_writer_that_nobody_closed_does_not_keep_the_agent_busy(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        logs.writer(attempt(1))
        write(logs, b"some")
        await asyncio.sleep(IDLE + 0.1)
        assert list(aws.objects.values()) == [b"some"]

    while_running(tmp_path, work)


def test_a_segment_is_stored_when_it_is_full(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        for index in range(SEGMENT // LARGEST_SHARED):
            write(logs, b"x" * LARGEST_SHARED, index)
        await asyncio.sleep(0.1)
        assert [len(stored) for stored in aws.objects.values()] == [SEGMENT]

    while_running(tmp_path, work)


def test_a_large_log_is_an_object_by_itself(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        writer = write(logs, b"y" * (LARGEST_SHARED + 1))
        await asyncio.sleep(0.1)
        assert await read(S3LogReader(aws, "bucket", now), writer) == b"y" * (LARGEST_SHARED + 1)
        assert parse_place(writer.place).offset == 0

    while_running(tmp_path, work)


def test_a_task_that_wrote_nothing_has_no_place_and_costs_nothing(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        writer = write(logs, b"")
        await asyncio.sleep(LINGER + 0.1)
        assert (writer.place, writer.written, aws.calls) == ("", 0, [])

    while_running(tmp_path, work)


def test_s3_out_of_reach_disturbs_no_task_and_loses_nothing(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        aws.down = throttled()
        writers = []
        for index in range(10):
            writers.append(write(logs, b"%d" % index, index))
            await asyncio.sleep(LINGER)
        aws.down = None
        await asyncio.sleep(61)
        reader = S3LogReader(aws, "bucket", now)
        assert b"".join([await read(reader, writer) for writer in writers]) == b"0123456789"

    while_running(tmp_path, work)


def test_s3_out_of_reach_is_not_asked_in_a_busy_loop(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        aws.down = denied()
        write(logs, b"some")
        await asyncio.sleep(600)
        assert 5 <= len(aws.calls) <= 20

    while_running(tmp_path, work)


def test_what_s3_refuses_does_not_stand_in_the_way_of_the_rest(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        aws.failing["put_object"].append(refused("KeyTooLongError"))
        first = write(logs, b"a" * (LARGEST_SHARED + 1), 0)
        second = write(logs, b"b" * (LARGEST_SHARED + 2), 1)
        await asyncio.sleep(2)
        assert list(aws.objects) == [parse_place(second.place).key, parse_place(first.place).key]

    while_running(tmp_path, work)


def test_a_lost_reply_makes_no_second_object(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        aws.deaf["put_object"] = 1
        writer = write(logs, b"some")
        await asyncio.sleep(LINGER + 5)
        assert aws.objects == {parse_place(writer.place).key: b"some"}

    while_running(tmp_path, work)


def test_what_waits_for_s3_is_bounded_and_what_is_too_much_is_counted(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        aws.down = throttled()
        kept, lost = write(logs, b"x" * 900, 0), write(logs, b"y" * 200, 1)
        assert (kept.place != "", kept.dropped) == (True, 0)
        assert (lost.place, lost.written, lost.dropped) == ("", 200, 200)

    while_running(tmp_path, work, limit=1000)


def test_room_comes_back_when_s3_does(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        write(logs, b"x" * 900)
        await asyncio.sleep(LINGER + 1)
        assert write(logs, b"y" * 900, 1).dropped == 0

    while_running(tmp_path, work, limit=1000)


def test_flush_stores_what_has_not_lingered_yet(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        write(logs, b"some")
        await logs.flush()
        assert list(aws.objects.values()) == [b"some"]

    while_running(tmp_path, work)


def test_flush_does_not_wait_for_s3_for_ever_and_says_that_something_is_left(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        aws.down = throttled()
        write(logs, b"some")
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match="not stored: 1 object"):
            await logs.flush()
        assert 9 < asyncio.get_running_loop().time() - began < 12

    while_running(tmp_path, work)


def test_the_next_agent_on_the_host_stores_what_the_last_one_did_not(tmp_path: Path) -> None:
    aws = SimulatedS3()
    places: list[str] = []

    async def dies(logs: S3Logs, aws: SimulatedS3) -> None:
        places.append(write(logs, b"said before the end").place)

    async def follows(logs: S3Logs, aws: SimulatedS3) -> None:
        await asyncio.sleep(0.1)

    while_running(tmp_path, dies, aws)
    assert aws.objects == {}
    while_running(tmp_path, follows, aws, owner="i-0abc#another")
    assert aws.objects == {parse_place(places[0]).key: b"said before the end"}


def test_two_agents_of_one_host_never_use_the_same_key(tmp_path: Path) -> None:
    aws = SimulatedS3()
    places: list[str] = []

    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        places.append(write(logs, b"x").place)

    while_running(tmp_path, work, aws)
    while_running(tmp_path, work, aws, owner="i-0abc#another")
    assert len({parse_place(place).key for place in places}) == 2


def test_a_full_disk_moves_what_it_cannot_copy(tmp_path: Path) -> None:
    """The segment's file cannot be made; a rename takes no room."""

    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        os.mkdir(logs._outbox.path(f"logs/i-0abc/1f2e3d4c/{int(now())}-1"))
        writer = write(logs, b"some")
        await asyncio.sleep(0.1)
        assert aws.objects == {parse_place(writer.place).key: b"some"}

    while_running(tmp_path, work)


def test_closing_twice_stores_once(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        writer = write(logs, b"some")
        place = writer.place
        writer.close()
        await logs.flush()
        assert (writer.place, list(aws.objects.values())) == (place, [b"some"])

    while_running(tmp_path, work)


def test_nothing_is_left_on_the_disk_of_what_was_stored(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        write(logs, b"small", 0)
        write(logs, b"l" * (LARGEST_SHARED + 1), 1)
        await logs.flush()
        assert [path for path in everything(tmp_path) if path.is_file()] == []

    while_running(tmp_path, work)


def test_others_on_the_host_cannot_read_what_waits(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        write(logs, b"small")
        logs.writer(attempt(1)).write(b"running")
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in everything(tmp_path)} == {0}

    while_running(tmp_path, work)


def test_a_hosts_name_stays_one_part_of_a_key(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        assert parse_place(write(logs, b"x").place).key.startswith("logs/.._a_b_c/1/")

    while_running(tmp_path, work, owner="../a b:c#1")


def test_a_very_large_log_goes_up_in_parts(tmp_path: Path) -> None:
    data = os.urandom(1024) * (20 * 1024)

    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        (tmp_path / "large").write_bytes(data)
        await logs._shipper._bucket.put_file("logs/large", str(tmp_path / "large"))
        assert aws.objects == {"logs/large": data}
        assert len(aws.called("upload_part")) == 3

    while_running(tmp_path, work)


def test_an_upload_in_parts_that_fails_is_aborted(tmp_path: Path) -> None:
    async def work(logs: S3Logs, aws: SimulatedS3) -> None:
        (tmp_path / "large").write_bytes(b"x" * (20 * 1024 * 1024))
        aws.failing["complete_multipart_upload"].append(throttled())
        with pytest.raises(type(throttled())):
            await logs._shipper._bucket.put_file("logs/large", str(tmp_path / "large"))
        assert (aws.uploads, aws.objects) == ({}, {})

    while_running(tmp_path, work)
