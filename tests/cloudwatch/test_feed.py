"""Live output into simulated CloudWatch Logs and back, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.simulation.clock import EPOCH, now, run
from controller.simulation.services.logs import SimulatedLogs
from controller.simulation.services.service import denied, refused, throttled
from runner.adapters.cloudwatch.events import (
    LONGEST,
    MANY,
    MOST_BYTES,
    MOST_EVENTS,
    OVERHEAD,
    Batch,
    Piece,
    message_of,
    piece_of,
    pieces,
    stream_of,
)
from runner.adapters.cloudwatch.feed import AFTER, INTERVAL, CloudWatchFeed
from runner.adapters.cloudwatch.reading import MOST_FOLLOWED, CloudWatchReader
from runner.aws import AwsError
from runner.model import TaskId
from tests.s3.attempts import OWNER, attempt


class Task:
    """A running task's spool file."""

    def __init__(self, feed: CloudWatchFeed, folder: Path, index: int) -> None:
        self.attempt = attempt(index)
        self.path = folder / f"spool-{index}"
        self._feed = feed
        feed.begun(self.attempt, str(self.path))

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def end(self) -> None:
        self._feed.ended(self.attempt)


Work = Callable[[SimulatedLogs, CloudWatchFeed, Callable[[int], Task]], Awaitable[None]]


def while_feeding(folder: Path, work: Work, aws: SimulatedLogs | None = None) -> SimulatedLogs:
    aws = aws or SimulatedLogs()

    async def main() -> None:
        feed = CloudWatchFeed(aws, "group", OWNER, now, jitter=lambda: 1.0)
        chore = asyncio.create_task(feed.run())
        await work(aws, feed, lambda index: Task(feed, folder, index))
        assert not chore.done()
        chore.cancel()

    run(main())
    return aws


async def shown(reader: CloudWatchReader, index: int = 0, start: int = 0) -> bytes:
    return b"".join([data async for data in reader.read(TaskId("job-1", index), 1, start, OWNER, EPOCH)])


SOON = AFTER + 2 * INTERVAL
HOST = OWNER.partition("#")[0]


def test_a_running_tasks_output_is_shown(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(0).write(b"one\ntwo\n")
        await asyncio.sleep(SOON)
        assert await shown(CloudWatchReader(aws, "group")) == b"one\ntwo\n"

    while_feeding(tmp_path, work)


def test_each_line_is_an_event_with_fields_for_insights(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(3).write(b"one\ntwo\n")
        await asyncio.sleep(SOON)
        assert [json.loads(message) for message in aws.messages()] == [
            {"attempt": "job-1/3#1", "offset": 0, "text": "one\n"},
            {"attempt": "job-1/3#1", "offset": 4, "text": "two\n"},
        ]

    while_feeding(tmp_path, work)


def test_a_short_task_costs_nothing(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        short = task(0)
        short.write(b"quick\n")
        await asyncio.sleep(AFTER - 0.1)
        short.end()
        await asyncio.sleep(60)
        assert aws.calls == []

    while_feeding(tmp_path, work)


def test_a_silent_task_costs_nothing(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(0)
        await asyncio.sleep(600)
        assert aws.calls == []

    while_feeding(tmp_path, work)


def test_following_gives_every_byte_once(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        running, reader = task(0), CloudWatchReader(aws, "group")
        text, wrote = b"", b""
        for number in range(100):
            line = b"line %d\n" % number
            running.write(line)
            wrote += line
            await asyncio.sleep(1)
            text += await shown(reader, start=len(text))
        await asyncio.sleep(SOON)
        text += await shown(reader, start=len(text))
        assert text == wrote

    while_feeding(tmp_path, work)


def test_the_beginning_of_a_line_waits_for_its_end(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        running = task(0)
        await asyncio.sleep(AFTER + 1.5 * INTERVAL)
        running.write(b"whole\nbegin")
        await asyncio.sleep(INTERVAL)
        running.write(b"ning\n")
        await asyncio.sleep(INTERVAL)
        assert [json.loads(message)["text"] for message in aws.messages()] == ["whole\n", "beginning\n"]

    while_feeding(tmp_path, work)


def test_a_line_that_does_not_end_is_shown_after_all(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(0).write(b"10%...")
        await asyncio.sleep(SOON + INTERVAL)
        assert await shown(CloudWatchReader(aws, "group")) == b"10%..."

    while_feeding(tmp_path, work)


def test_all_tasks_of_a_host_share_its_stream(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        for index in range(16):
            task(index).write(b"%d\n" % index)
        await asyncio.sleep(SOON)
        assert (list(aws.streams), len(aws.called("create_log_stream"))) == ([HOST], 1)
        assert len(aws.called("put_log_events")) == 1

    while_feeding(tmp_path, work)


def test_tasks_are_told_apart_even_where_one_prints_anothers_events(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(1).write(b"mine\n")
        task(11).write(message_of("job-1/1#1", Piece(5, b"forged\n")).encode() + b"\n")
        await asyncio.sleep(SOON)
        assert await shown(CloudWatchReader(aws, "group"), 1) == b"mine\n"

    while_feeding(tmp_path, work)


def test_one_that_floods_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(0).write(b"flood\n" * 2_000_000)
        task(1).write(b"modest\n")
        await asyncio.sleep(SOON)
        first = aws.called("put_log_events")[0]["logEvents"]
        assert len(aws.called("put_log_events")) > 2
        assert any(
            "modest" in event["message"] for event in aws.called("put_log_events")[1]["logEvents"] + first
        )

    while_feeding(tmp_path, work)


def test_a_flood_is_shown_whole(tmp_path: Path) -> None:
    data = b"".join(b"%07d\n" % number for number in range(50_000))

    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(0).write(data)
        await asyncio.sleep(SOON)
        found = [piece_of(message, "job-1/0#1") for message in aws.messages()]
        assert b"".join(piece.data for piece in found if piece) == data

    while_feeding(tmp_path, work)


def test_throttled_it_lags_and_loses_nothing(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        running = task(0)
        running.write(b"before\n")
        await asyncio.sleep(SOON)
        aws.down = throttled()
        running.write(b"during\n")
        await asyncio.sleep(300)
        attempts = len(aws.calls)
        aws.down = None
        await asyncio.sleep(61)
        assert await shown(CloudWatchReader(aws, "group")) == b"before\nduring\n"
        assert attempts < 20

    while_feeding(tmp_path, work)


def test_a_lost_reply_shows_nothing_twice(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        aws.deaf["put_log_events"] = 1
        task(0).write(b"once\n")
        await asyncio.sleep(60)
        assert len(aws.messages()) == 2
        assert await shown(CloudWatchReader(aws, "group")) == b"once\n"

    while_feeding(tmp_path, work)


def test_what_the_service_refuses_is_counted_and_not_tried_for_ever(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        aws.failing["put_log_events"].append(refused("InvalidParameterException"))
        task(0).write(b"some\n")
        await asyncio.sleep(60)
        assert (len(aws.called("put_log_events")), feed.dropped > 0) == (1, True)

    while_feeding(tmp_path, work)


def test_events_rejected_in_a_good_reply_are_counted(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        aws.rejecting = True
        task(0).write(b"some\n")
        await asyncio.sleep(SOON)
        assert feed.dropped > 0

    while_feeding(tmp_path, work)


def test_a_stream_that_somebody_deleted_is_made_again(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        running = task(0)
        running.write(b"one\n")
        await asyncio.sleep(SOON)
        aws.streams.clear()
        running.write(b"two\n")
        await asyncio.sleep(30)
        assert [json.loads(message)["text"] for message in aws.messages()] == ["two\n"]

    while_feeding(tmp_path, work)


def test_a_missing_group_disturbs_nothing(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        task(0).write(b"one\n")
        await asyncio.sleep(600)
        assert 1 <= len(aws.calls) < 20

    while_feeding(tmp_path, work, SimulatedLogs("another"))


def test_a_gap_is_not_read_over(tmp_path: Path) -> None:
    """Bytes are counted by whoever follows: what comes behind a gap is shown with the whole log, after the end."""

    async def main() -> bytes:
        aws = SimulatedLogs()
        for offset, text in ((0, b"a\n"), (4, b"c\n")):
            aws.streams.setdefault(stream_of(OWNER), []).append(
                {"timestamp": round(EPOCH * 1000), "message": message_of("job-1/0#1", Piece(offset, text))}
            )
        return await shown(CloudWatchReader(aws, "group"))

    assert run(main()) == b"a\n"


def test_whoever_follows_many_asks_at_most_twice_a_second() -> None:
    async def main() -> tuple[int, float]:
        aws = SimulatedLogs()
        reader = CloudWatchReader(aws, "group")
        loop = asyncio.get_running_loop()
        while loop.time() < 60:
            for index in range(100):
                await shown(reader, index)
            await asyncio.sleep(0.3)
        return len(aws.calls), loop.time()

    calls, seconds = run(main())
    assert calls <= MOST_FOLLOWED + 2 * seconds
    assert calls > MOST_FOLLOWED


def test_more_than_a_page_is_read(tmp_path: Path) -> None:
    async def work(aws: SimulatedLogs, feed: CloudWatchFeed, task: Callable[[int], Task]) -> None:
        aws.page = 10
        task(0).write(b"".join(b"%d\n" % number for number in range(95)))
        await asyncio.sleep(SOON)
        assert (await shown(CloudWatchReader(aws, "group"))).count(b"\n") == 95

    while_feeding(tmp_path, work)


@pytest.mark.parametrize("error", [throttled(), refused("ResourceNotFoundException", "no such log stream")])
def test_trouble_that_passes_shows_nothing_for_now(error: AwsError) -> None:
    async def main() -> bytes:
        aws = SimulatedLogs()
        aws.down = error
        return await shown(CloudWatchReader(aws, "group"))

    assert run(main()) == b""


@pytest.mark.parametrize(
    "error", [denied(), refused("ResourceNotFoundException", "The specified log group does not exist.")]
)
def test_trouble_that_stays_is_told(error: AwsError) -> None:
    async def main() -> None:
        aws = SimulatedLogs()
        aws.down = error
        with pytest.raises(AwsError):
            await shown(CloudWatchReader(aws, "group"))

    run(main())


def test_a_name_that_would_change_the_filter_is_not_asked_for() -> None:
    async def main() -> list[object]:
        aws = SimulatedLogs()
        reader = CloudWatchReader(aws, "group")
        async for _ in reader.read(TaskId('x" ?"', 0), 1, 0, OWNER, EPOCH):
            pass
        return list(aws.calls)

    assert run(main()) == []


@given(st.binary(max_size=200), st.integers(0, 2**40))
@example("ünï".encode()[:2] + b"\x80\xff\xed\xa0\xbd\xed\xb8\x80\0", 0)
@example("😀".encode() + b"\xff", 7)
def test_whatever_the_bytes_an_event_gives_them_back(data: bytes, offset: int) -> None:
    message = message_of("j/0#1", Piece(offset, data))
    assert message.isascii()
    assert message.isprintable()
    assert piece_of(message, "j/0#1") == Piece(offset, data)


@given(st.binary(max_size=MANY))
def test_pieces_are_lines_and_join_to_the_whole(data: bytes) -> None:
    cut = list(pieces(data, 100))
    assert b"".join(piece.data for piece in cut) == data
    assert [piece.offset - 100 for piece in cut] == [len(data[: piece.offset - 100]) for piece in cut]
    assert all(piece.data.count(b"\n") <= 1 for piece in cut)


@given(st.lists(st.binary(max_size=100), min_size=MANY + 1, max_size=MANY + 100))
def test_of_very_many_lines_several_are_one_piece(lines: list[bytes]) -> None:
    data = b"\n".join([*lines, b"end"])
    cut = list(pieces(data, 0))
    assert b"".join(piece.data for piece in cut) == data
    assert all(piece.data.endswith(b"\n") for piece in cut[:-1])
    assert len(cut) < len(data) / 2000 + 3


def test_an_event_stays_below_what_the_service_takes() -> None:
    [first, *_] = pieces(b"\xff" * 100_000, 0)
    assert len(first.data) == LONGEST
    assert len(message_of("j" * 128 + "/999999#9", first)) < 256 * 1024


@pytest.mark.parametrize(
    "message", ["", "x", "[]", "null", "1", "{}", '{"attempt":"a","offset":"0","text":"x"}', "[" * 10_000,
                '{"attempt":"a","offset":0,"text":1}', '{"attempt":"a","offset":true,"text":"x"}',
                '{"attempt":"b","offset":0,"text":"x"}']
)  # fmt: skip
def test_any_other_event_is_passed_over(message: str) -> None:
    assert piece_of(message, "a") is None


def test_a_batch_holds_what_one_request_may() -> None:
    batch = Batch(1.0)
    while batch.add("x" * 1000):
        pass
    assert batch.full
    assert len(batch.events) == MOST_BYTES // (1000 + OVERHEAD)


def test_a_batch_holds_no_more_events_than_it_may() -> None:
    batch = Batch(1.0)
    while batch.add(""):
        pass
    assert len(batch.events) == MOST_EVENTS


def test_a_streams_name_holds_nothing_that_is_not_allowed() -> None:
    assert stream_of("host:1*#ab") == "host_1_"


def test_a_restarted_agents_feed_is_read_on_under_the_attempts_first_owner(tmp_path: Path) -> None:
    async def feed_for(aws: SimulatedLogs, owner: str, data: bytes) -> None:
        """One agent's time, as far as its feed is concerned: an adopted container's output comes from the beginning."""
        feed = CloudWatchFeed(aws, "group", owner, now, jitter=lambda: 1.0)
        chore = asyncio.create_task(feed.run())
        Task(feed, tmp_path, 0).path.write_bytes(data)
        await asyncio.sleep(SOON)
        chore.cancel()

    async def main() -> list[bytes]:
        aws = SimulatedLogs()
        reader = CloudWatchReader(aws, "group")
        seen = []
        for owner, data in ((OWNER, b"one\ntwo\n"), (f"{OWNER}-next", b"one\ntwo\nthree\n")):
            await feed_for(aws, owner, data)
            seen.append(await shown(reader, start=sum(map(len, seen))))
        return seen

    assert run(main()) == [b"one\ntwo\n", b"three\n"]
