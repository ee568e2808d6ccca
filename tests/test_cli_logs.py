"""`logs`: one task's bytes, a job's lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.logs import calm
from controller.logs import POLL, Line, Merged, Source, read_task
from controller.ports import LogReader
from controller.wiring import Parts, open_parts
from runner.errors import NotFound
from runner.model import Attempt, Charge, Kind, Lease, Outcome, Status, TaskId
from runner.records import UNRECORDED, Ending, JobRecord, Recorded, Verdict
from tests.desk import HOST, Desk, by_index, ended

RAW = b"\xff\x00\x1b[31mred\nno end"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def numbered(attempt: Attempt) -> bytes:
    return b"".join(b"%d.%d line %d\n" % (attempt.task.index, attempt.number, line) for line in range(3))


def test_one_tasks_output_goes_to_a_pipe_as_it_was_written(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "2")
    desk.work(output=lambda _: RAW)
    assert desk.call("logs", "n/1").stdout_bytes == RAW


def test_a_jobs_output_has_each_line_behind_its_index(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "9-10")
    desk.work(output=lambda attempt: b"a\nb\n" if attempt.task.index == 9 else b"c")
    assert desk.out("logs", "n") == " 9 | a\n 9 | b\n10 | c\n"


def test_a_job_of_one_task_needs_no_index(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work(output=numbered)
    assert desk.out("logs", "n") == "0.1 line 0\n0.1 line 1\n0.1 line 2\n"


def test_tail_gives_the_last_lines(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work(output=numbered)
    assert desk.out("logs", "n", "--tail", "2") == "0.1 line 1\n0.1 line 2\n"


def test_tail_of_a_job_gives_the_last_lines_of_each_task(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "2")
    desk.work(output=numbered)
    assert desk.out("logs", "n", "--tail", "1") == "0 | 0.1 line 2\n1 | 1.1 line 2\n"


def test_every_attempts_output_is_kept(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work(by_index({0: ended(Kind.FAILED)}), output=numbered)
    desk.out("retry", "n", "--output", "quiet")
    desk.step()
    desk.work(output=numbered)
    assert desk.out("logs", "n").startswith("0.2 line 0")
    assert desk.out("logs", "n", "--attempt", "1").startswith("0.1 line 0")


@pytest.mark.parametrize("more", [(), ("-f",)], ids=["once", "followed"])
def test_an_attempt_that_never_was_is_an_error_that_says_which_there_are(
    desk: Desk, more: Sequence[str]
) -> None:
    job = desk.submit("--name", "n")
    desk.work(output=numbered)
    result = desk.call("logs", "n", "--attempt", "7", *more)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"{job}/0 has had 1 attempt; there is no attempt 7" in result.stderr


def test_an_attempt_of_a_whole_job_is_refused(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "2")
    result = desk.call("logs", "n", "--attempt", "1")
    assert result.exit_code == 2
    assert "n/INDEX" in result.stderr


def test_a_task_that_has_not_begun_says_where_to_look(desk: Desk) -> None:
    job = desk.submit("--name", "n")
    result = desk.call("logs", "n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"explain {job}/0" in result.stderr


def test_output_that_was_not_kept_is_counted(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work(lambda _: ended(log_bytes=100, log_dropped=60))
    assert "60 of 100 bytes were not kept" in desk.call("logs", "n").stderr


@pytest.mark.parametrize("selector", ["n/0", "n"])
def test_following_what_has_ended_prints_all_of_it_and_ends(desk: Desk, selector: str) -> None:
    desk.submit("--name", "n", "--array", "2")
    desk.work(output=numbered)
    assert desk.out("logs", selector, "-f") == desk.out("logs", selector)


def test_following_where_nobody_supervises_says_so(desk: Desk) -> None:
    job = desk.submit("--name", "n")
    desk.out("cancel", job)
    assert "nobody is supervising" not in desk.call("logs", "n", "-f").stderr
    desk.submit("--name", "m")
    process = desk.start("logs", "m", "-f")
    assert process.stderr is not None
    assert b"nobody is supervising" in process.stderr.readline()
    process.kill()
    process.communicate()


def test_following_shows_what_is_written_meanwhile(desk: Desk) -> None:
    """Begun and ended while it is watched, in the order of time."""
    from runner import retry

    desk.submit("--name", "n", "--array", "2")

    async def main() -> list[str]:
        async with open_parts(desk.settings) as parts:
            record = (await parts.records.jobs())[0]
            merged = Merged(parts.records, parts.logs, record, None).lines(follow=True)
            leases = await parts.queue.receive(2, wait=0, hide=60)
            seen: list[str] = []
            for lease in sorted(leases, key=lambda lease: -lease.task.index):
                attempt = await parts.ledger.begin(lease, record.job, "local-1#1")
                assert isinstance(attempt, Attempt)
                writer = parts.logs.writer(attempt)
                for text in (b"one\n", b"two\n"):
                    writer.write(text)
                    line = await anext(merged)
                    seen.append(f"{line.task.index} {line.data.decode()}")
                writer.close()
                await parts.ledger.finish(attempt, ended(), retry.decide(record.job, attempt, ended(), 0.0))
            seen += [f"{line.task.index} late" async for line in merged]
            return seen

    assert asyncio.run(main()) == ["1 one", "1 two", "0 one", "0 two"]


def follow(desk: Desk, tail: int | None, scene: Callable[..., Awaitable[list[bytes]]]) -> list[bytes]:
    from controller.logs import Merged
    from controller.wiring import open_parts

    async def main() -> list[bytes]:
        async with open_parts(desk.settings) as parts:
            record = (await parts.records.jobs())[0]
            (lease,) = await parts.queue.receive(1, wait=0, hide=60)
            lines = Merged(parts.records, parts.logs, record, tail).lines(follow=True)
            return await scene(parts, record, lease, lines)

    return asyncio.run(main())


def test_following_prints_the_output_of_a_task_that_waits_for_another_try_once(desk: Desk) -> None:
    desk.submit("--name", "n")

    async def scene(parts: Parts, record: JobRecord, lease: Lease, lines: AsyncIterator[Line]) -> list[bytes]:
        attempt = await parts.ledger.begin(lease, record.job, "local-1#1")
        assert isinstance(attempt, Attempt)
        writer = parts.logs.writer(attempt)
        writer.write(b"tried\n")
        writer.close()
        await parts.ledger.finish(
            attempt, ended(Kind.LOST), Verdict(Status.RUNNABLE, Charge.INFRA, delay=3600)
        )
        seen = [(await anext(lines)).data]
        ending = asyncio.get_running_loop().call_later(1.5, asyncio.ensure_future, cancelled(parts, record))
        seen += [line.data async for line in lines]
        assert ending.when()
        return seen

    assert follow(desk, None, scene) == [b"tried"]


async def cancelled(parts: Parts, record: JobRecord) -> None:
    await parts.records.end(record.job.id, Ending(Status.CANCELLED, "enough", 0.0))


def test_a_tail_leaves_what_begins_after_it_whole(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "2")

    async def scene(parts: Parts, record: JobRecord, lease: Lease, lines: AsyncIterator[Line]) -> list[bytes]:
        async def run(lease: Lease) -> None:
            attempt = await parts.ledger.begin(lease, record.job, "local-1#1")
            assert isinstance(attempt, Attempt)
            writer = parts.logs.writer(attempt)
            writer.write(b"one\ntwo\n")
            writer.close()
            await parts.ledger.finish(attempt, ended(), Verdict(Status.SUCCEEDED))

        await run(lease)
        seen = [(await anext(lines)).data]
        next_line = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(2 * POLL)  # it has looked at what there is, and waits
        (other,) = await parts.queue.receive(1, wait=0, hide=60)
        await run(other)
        return [*seen, (await next_line).data, *[line.data async for line in lines]]

    assert follow(desk, 1, scene) == [b"two", b"one", b"two"]


async def test_a_tail_of_a_log_that_was_empty_when_looked_at_first_leaves_what_follows_whole() -> None:
    source = Source(Growing([b"", b"one\ntwo\n"]), TaskId("j", 0), 1, 0)  # type: ignore[arg-type]
    assert b"".join([*await raw(source), *await raw(source)]) == b"one\ntwo\n"


class Growing:
    """A log whose readable part grows with each read."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = list(parts)
        self._written = b""

    live = True

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        self._written += self._parts.pop(0) if self._parts else b""
        if self._written[start:]:
            yield self._written[start:]


def read_on(
    parts: Sequence[bytes], tail: int | None, call: Callable[[Source], Awaitable[list[bytes]]]
) -> list[bytes]:
    async def main() -> list[bytes]:
        source = Source(Growing(parts), TaskId("j", 0), 1, tail)
        return [data for _ in range(len(parts) + 1) for data in await call(source)]

    return asyncio.run(main())


async def raw(source: Source) -> list[bytes]:
    return [data async for data in source.new()]


async def by_line(source: Source) -> list[bytes]:
    return [line.data async for line in source.lines(last=False)]


@given(st.lists(st.binary(max_size=20)))
def test_however_a_log_grows_every_byte_is_read_once(parts: list[bytes]) -> None:
    assert b"".join(read_on(parts, None, raw)) == b"".join(parts)


@given(st.lists(st.sampled_from([b"a", b"b\n", b"\n", b"c\nd"]), max_size=10))
def test_however_a_log_grows_lines_stay_whole(parts: list[bytes]) -> None:
    assert read_on(parts, None, by_line) == b"".join(parts).split(b"\n")[:-1]


@given(st.lists(st.sampled_from([b"a", b"b\n", b"\n", b"c\nd"]), max_size=10), st.integers(0, 5))
def test_a_tail_is_the_last_lines(parts: list[bytes], most: int) -> None:
    written = b"".join(parts)
    expected = b"".join(written.splitlines(keepends=True)[-most:]) if most else b""
    assert b"".join(read_on([written], most, raw)) == expected


def test_a_line_without_end_is_passed_on_in_parts() -> None:
    lines = read_on([b"x" * 100_000] * 3, None, by_line)
    assert [len(line) for line in lines] == [100_000] * 3


class Elsewhere:
    """Logs that are read by what the ledger has of their attempts. Those of `gone` tasks are lost."""

    live = False

    def __init__(self, gone: Collection[int] = ()) -> None:
        self._gone = gone

    async def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        if task.index in self._gone:
            raise NotFound(f"the log of {task} is lost")
        where = recorded.outcome.log if recorded.outcome else "not ended"
        yield f"{where} {recorded.owner}\n".encode()[start:]


def reading(desk: Desk, logs: LogReader, call: Callable[[Parts], Awaitable[Any]]) -> Any:
    """What `call` makes of an installation whose logs are `logs`."""

    async def main() -> Any:
        async with open_parts(desk.settings) as parts:
            return await call(replace(parts, logs=logs))

    return asyncio.run(main())


def placed(attempt: Attempt) -> Outcome:
    return ended(Kind.FAILED if attempt.number == 1 else Kind.SUCCEEDED, log=f"place-{attempt.number}")


@pytest.mark.parametrize(("number", "place"), [(None, "place-2"), (1, "place-1"), (2, "place-2")])
def test_a_log_is_looked_for_where_its_own_attempts_record_says(
    desk: Desk, number: int | None, place: str
) -> None:
    desk.submit("--name", "n")
    desk.work(placed)
    desk.out("retry", "n", "--output", "quiet")
    desk.step()
    desk.work(placed)

    async def call(parts: Parts) -> bytes:
        [job] = await parts.records.jobs()
        found = read_task(parts.records, parts.logs, TaskId(job.job.id, 0), attempt=number)
        return b"".join([data async for _, data in found])

    assert reading(desk, Elsewhere(), call).decode() == f"{place} {HOST}#1\n"


def test_a_running_attempt_is_looked_for_with_its_owner(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work(lambda _: None)

    async def call(parts: Parts) -> list[bytes]:
        [job] = await parts.records.jobs()
        return [line.data async for line in Merged(parts.records, parts.logs, job, None).lines(follow=False)]

    assert reading(desk, Elsewhere(), call) == [f"not ended {HOST}#1".encode()]


def test_a_lost_log_is_told_once_and_the_others_are_shown(desk: Desk) -> None:
    desk.submit("--name", "n", "--array", "3")
    desk.work(placed)
    told: list[str] = []

    async def call(parts: Parts) -> list[int]:
        [job] = await parts.records.jobs()
        merged = Merged(parts.records, parts.logs, job, None, told.append)
        return [line.task.index async for line in merged.lines(follow=False)]

    assert reading(desk, Elsewhere(gone={1}), call) == [0, 2]
    assert [problem.endswith("/1 is lost") for problem in told] == [True]


def test_a_task_whose_log_is_lost_says_so(desk: Desk) -> None:
    desk.submit("--name", "n")
    desk.work(placed)
    told: list[str] = []

    async def call(parts: Parts) -> bytes:
        [job] = await parts.records.jobs()
        found = read_task(parts.records, parts.logs, TaskId(job.job.id, 0), missing=told.append)
        return b"".join([data async for _, data in found])

    assert reading(desk, Elsewhere(gone={0}), call) == b""
    assert len(told) == 1


@given(st.text())
def test_calm_text_cannot_steer_a_terminal(text: str) -> None:
    assert calm(text).replace("\n", "").replace("\t", "").isprintable()


@given(st.text(alphabet="aé\t\n"))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert calm(text) == text


def test_statuses_are_all_filters() -> None:
    from controller.cli.tasks import FILTERS

    assert set(FILTERS) == {status.lower() for status in Status}
