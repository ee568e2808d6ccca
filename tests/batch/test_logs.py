"""Logs of tasks on AWS Batch, through the commands' own readers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.adapters.batch.logs import BatchLogReader
from controller.adapters.batch.output import parse_place, place_of
from controller.logs import Merged, read_task
from controller.simulation.services.batch_job import Run
from controller.simulation.services.service import throttled
from runner.model import Kind, Outcome, Retry, TaskId
from runner.records import UNRECORDED, Recorded
from tests.batch.stage import Stage, index_of, scene
from tests.batch.test_backend import Program


class Elsewhere:
    live = False

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        yield b"from elsewhere"


def reader(stage: Stage) -> BatchLogReader:
    return BatchLogReader(stage.aws, stage.settings.log_group, Elsewhere())


async def written(stage: Stage, index: int = 0, **more: int) -> bytes:
    parts = read_task(stage.records, reader(stage), TaskId("a", index), **more)  # type: ignore[arg-type]
    return b"".join([data async for _, data in parts])


def test_what_a_task_wrote_is_read_when_it_has_ended() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.finish()
        assert await written(stage) == b"one\ntwo\n"

    scene(play, Program(good=Run(lines=["one", "two"])))


def test_and_while_it_runs() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=2)
        await stage.running(2)
        assert await written(stage, 1) == b"one\n"

    scene(play, Program(good=Run(seconds=600, lines=["one"])))


def test_what_comes_later_is_read_on_from_where_it_was_read_last() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.running()
        logs = reader(stage)
        recorded = Recorded((await stage.task()).owner, 0.0)
        first = [data async for data in logs.read(TaskId("a", 0), 1, 0, recorded)]
        (stream,) = stage.logs.streams.values()
        stream.append({"timestamp": 0, "message": "two"})
        await stage.steps(5)
        second = [data async for data in logs.read(TaskId("a", 0), 1, len(b"".join(first)), recorded)]
        assert (b"".join(first), b"".join(second)) == (b"one\n", b"two\n")

    scene(play, Program(good=Run(seconds=600, lines=["one"])))


def test_each_attempt_has_its_own() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(retry=Retry(retries=1))
        await stage.finish()
        assert await written(stage, attempt=1) == b"bad\n"
        assert await written(stage) == b"good\n"

    scene(play, Program({0: 1}, Run(exit_code=1, lines=["bad"]), Run(lines=["good"])))


def test_a_jobs_output_is_merged_over_its_shards() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit(tasks=3)
        await stage.finish()
        merged = Merged(stage.records, reader(stage), await stage.job(), None)
        lines = [(line.task.index, line.data) async for line in merged.lines(follow=False)]
        assert sorted(lines) == [(0, b"shard 0"), (1, b"shard 1"), (2, b"shard 2")]

    scene(play, lambda env, command: Run(lines=[f"shard {index_of(env, command)}"]))


def test_more_than_a_page_is_read_whole() -> None:
    async def play(stage: Stage) -> None:
        stage.logs._page = 10
        await stage.submit()
        await stage.finish()
        assert await written(stage) == b"".join(b"%d\n" % number for number in range(95))

    scene(play, Program(good=Run(lines=[str(number) for number in range(95)])))


def test_a_log_that_is_gone_is_reported_once() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.finish()
        stage.logs.streams.clear()
        told: list[str] = []
        parts = read_task(stage.records, reader(stage), TaskId("a", 0), missing=told.append)
        assert [data async for _, data in parts] == []
        assert len(told) == 1

    scene(play, Program(good=Run(lines=["one"])))


def test_throttled_it_gives_what_it_has() -> None:
    async def play(stage: Stage) -> None:
        await stage.submit()
        await stage.finish()
        stage.logs.failing["get_log_events"].append(throttled())
        assert await written(stage) == b""
        assert await written(stage) == b"one\n"

    scene(play, Program(good=Run(lines=["one"])))


def test_what_ran_elsewhere_is_read_elsewhere() -> None:
    async def play(stage: Stage) -> None:
        logs, task = reader(stage), TaskId("a", 0)
        for recorded in (
            Recorded("i-0abc#1", 0.0),
            Recorded("i-0abc#1", 0.0, Outcome(Kind.SUCCEEDED, log="s3")),
        ):
            assert [data async for data in logs.read(task, 1, 0, recorded)] == [b"from elsewhere"]

    scene(play)


@pytest.mark.parametrize("text", ["", "s3://bucket/key", "cloudwatch:", "cloudwatch", "x:y:z"])
def test_another_place_is_none_of_ours(text: str) -> None:
    assert parse_place(text) is None


def test_a_place_is_read_back() -> None:
    assert parse_place(place_of("/aws/batch/job", "a/default/b")) == ("/aws/batch/job", "a/default/b")
