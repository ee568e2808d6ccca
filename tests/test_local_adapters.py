"""Logs, manifests and secrets on this machine's files."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.adapters.files import TAIL, FileLogs
from runner.adapters.manifests import LARGEST_ITEM, FileManifests
from runner.adapters.secrets import LocalSecrets
from runner.array import Array
from runner.errors import BadInput, NotFound, StartError, StorageError, Unavailable
from runner.model import Attempt, Job, Secret, TaskId
from runner.ports import LogWriter

TASK = TaskId("job-1", 42_137)
LIMIT = 1024 * 1024


def attempt(task: TaskId = TASK, number: int = 1) -> Attempt:
    return Attempt(task=task, number=number, tries=1, owner="here#1", memory=1)


async def kept(logs: FileLogs, task: TaskId = TASK, number: int = 1, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in logs.read(task, number, start)])


@pytest.fixture
def logs(tmp_path: Path) -> FileLogs:
    return FileLogs(tmp_path / "logs", LIMIT)


def write(logs: FileLogs, *chunks: bytes, number: int = 1) -> LogWriter:
    writer = logs.writer(attempt(number=number))
    for chunk in chunks:
        writer.write(chunk)
    return writer


async def test_what_was_written_is_read(logs: FileLogs) -> None:
    write(logs, b"one\n", b"two\n").close()
    assert await kept(logs) == b"one\ntwo\n"


async def test_reading_starts_at_any_byte(logs: FileLogs) -> None:
    write(logs, b"one\n", b"two\n").close()
    assert await kept(logs, start=4) == b"two\n"
    assert await kept(logs, start=100) == b""


async def test_a_running_tasks_log_can_be_followed(logs: FileLogs) -> None:
    writer = write(logs, b"one\n")
    assert await kept(logs) == b"one\n"
    writer.write(b"two\n")
    assert await kept(logs, start=4) == b"two\n"
    writer.close()


async def test_there_is_nothing_to_read_of_an_attempt_that_wrote_nothing(logs: FileLogs) -> None:
    write(logs).close()
    assert await kept(logs) == b""


def test_silence_takes_no_space(logs: FileLogs, tmp_path: Path) -> None:
    write(logs).close()
    assert list(tmp_path.rglob("*")) == []


async def test_attempts_have_logs_of_their_own(logs: FileLogs) -> None:
    write(logs, b"first", number=1).close()
    write(logs, b"second", number=2).close()
    assert (await kept(logs, number=1), await kept(logs, number=2)) == (b"first", b"second")


async def test_a_writer_starts_its_attempts_log_anew(logs: FileLogs) -> None:
    write(logs, b"a longer first text").close()
    write(logs, b"short").close()
    assert await kept(logs) == b"short"
    write(logs).close()
    assert await kept(logs) == b""


def test_a_large_jobs_logs_are_spread_over_directories(logs: FileLogs, tmp_path: Path) -> None:
    write(logs, b"x").close()
    assert (tmp_path / "logs" / "job-1" / "42" / "42137.1.log").exists()


def test_only_the_owner_may_read_logs(logs: FileLogs, tmp_path: Path) -> None:
    write(logs, b"x").close()
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "logs").rglob("*")}
    assert modes == {0}


async def test_of_a_flood_the_beginning_and_the_end_are_kept(logs: FileLogs) -> None:
    writer = write(logs, *(b"%09d\n" % n for n in range(500_000)))
    writer.close()
    text = await kept(logs)
    lines = text.splitlines()
    assert lines[0] == b"%09d" % 0
    assert lines[-1] == b"%09d" % 499_999
    assert b"[... %d bytes not kept ...]" % writer.dropped in lines
    assert LIMIT <= len(text) < LIMIT + 100
    assert writer.written == 5_000_000 == LIMIT + writer.dropped


@settings(max_examples=50, deadline=None)
@given(limit=st.integers(0, 60), chunks=st.lists(st.binary(max_size=20), max_size=10))
async def test_every_byte_is_kept_or_counted(
    tmp_path_factory: pytest.TempPathFactory, limit: int, chunks: list[bytes]
) -> None:
    logs = FileLogs(tmp_path_factory.mktemp("logs"), limit)
    writer = write(logs, *chunks)
    writer.close()
    text, stored = b"".join(chunks), await kept(logs)
    assert writer.written == len(text)
    if writer.dropped == 0:
        assert stored == text
    else:
        head, _, tail = stored.partition(b"[... %d bytes not kept ...]\n" % writer.dropped)
        assert len(text) > limit
        assert text.startswith(head.removesuffix(b"\n"))
        assert text.endswith(tail)


async def test_the_tail_is_bounded_however_the_chunks_come(logs: FileLogs) -> None:
    writer = write(logs, b"h" * (2 * LIMIT), b"t" * (3 * TAIL), b"e")
    writer.close()
    text = await kept(logs)
    assert text.endswith(b"\n" + b"t" * (TAIL - 1) + b"e")


def with_a_full_disk(write: Callable[[], None], room: int) -> None:
    """Files cannot grow beyond `room` bytes while `write` runs."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_what_a_full_disk_did_not_take_is_counted_and_the_task_not_disturbed(logs: FileLogs) -> None:
    writer = write(logs, b"begin\n")
    with_a_full_disk(lambda: writer.write(b"x" * 200_000), room=10_000)
    assert writer.written == 200_006
    writer.write(b"end\n")
    writer.close()
    text = await kept(logs)
    assert text.startswith(b"begin\nxxx")
    assert text.endswith(b"x\n[... %d bytes not kept ...]\n" % writer.dropped + b"x" * (TAIL - 4) + b"end\n")
    assert writer.dropped == 200_010 - 10_000 - TAIL


async def test_a_disk_that_stays_full_drops_all_that_did_not_fit(logs: FileLogs) -> None:
    writer = write(logs, b"begin\n")

    def flood() -> None:
        writer.write(b"x" * 200_000)
        writer.close()

    with_a_full_disk(flood, room=10_000)
    assert (writer.dropped, len(await kept(logs))) == (190_006, 10_000)


def test_a_log_that_cannot_be_made_is_all_dropped(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    writer = write(FileLogs(tmp_path / "logs", LIMIT), b"text")
    writer.close()
    assert (writer.written, writer.dropped) == (4, 4)


@pytest.mark.parametrize("job_id", ["../up", "a/b", "..", "", ".hidden", "a\nb", "x" * 200, "-rf", "a\0b"])
async def test_no_jobs_name_leads_out_of_the_logs(logs: FileLogs, job_id: str) -> None:
    with pytest.raises(BadInput):
        logs.writer(attempt(TaskId(job_id, 1)))
    with pytest.raises(BadInput):
        await kept(logs, TaskId(job_id, 1))


async def test_no_link_is_followed_when_a_log_is_written(logs: FileLogs, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    write(logs, b"x").close()
    writer = logs.writer(attempt())
    (tmp_path / "logs/job-1/42/42137.1.log").symlink_to(tmp_path / "precious")
    writer.write(b"overwritten")
    writer.close()
    assert (tmp_path / "precious").read_text() == "data"
    assert writer.dropped == len(b"overwritten")


# Manifests


@pytest.fixture
def manifests(tmp_path: Path) -> FileManifests:
    return FileManifests(tmp_path / "manifests")


def only_file(tmp_path: Path) -> Path:
    [file] = (tmp_path / "manifests").iterdir()
    return file


async def streamed(*items: str) -> AsyncIterator[str]:
    for item in items:
        yield item


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.text(st.characters(), max_size=30), min_size=1, max_size=20))
async def test_every_item_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, items: list[str]
) -> None:
    manifests = FileManifests(tmp_path_factory.mktemp("manifests"))
    name = await manifests.put(items)
    assert [await manifests.get(name, index) for index in range(len(items))] == items


async def test_lines_quotes_and_odd_characters_are_items_like_others(manifests: FileManifests) -> None:
    items = ["a\nb", '"', "", "\\n", "ü漢\U0001f600", "\udc80", "\0"]
    name = await manifests.put(items)
    assert [await manifests.get(name, index) for index in range(len(items))] == items


async def test_a_stream_and_a_list_of_the_same_items_are_the_same_manifest(
    manifests: FileManifests, tmp_path: Path
) -> None:
    assert await manifests.put(streamed("a", "b")) == await manifests.put(["a", "b"])
    assert only_file(tmp_path).is_file()


@pytest.mark.parametrize("other", [["b", "a"], ["a"], ["a", "b", ""], ["ab"], ["a\nb"]])
async def test_other_items_are_another_manifest(manifests: FileManifests, other: list[str]) -> None:
    assert await manifests.put(["a", "b"]) != await manifests.put(other)


async def test_two_who_write_the_same_at_once_agree(manifests: FileManifests, tmp_path: Path) -> None:
    items = [str(n) for n in range(5000)]
    names = await asyncio.gather(*(manifests.put(items) for _ in range(4)))
    assert len(set(names)) == 1
    assert await manifests.get(names[0], 4999) == "4999"
    assert only_file(tmp_path).name == names[0]


async def test_nothing_is_there_before_all_of_it_is(manifests: FileManifests, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[str]:
        for n in range(3000):
            yield str(n)
        message = "the source failed"
        raise OSError(message)

    with pytest.raises(StorageError):
        await manifests.put(broken())
    assert list((tmp_path / "manifests").iterdir()) == []


async def test_an_item_too_large_is_refused_by_number(manifests: FileManifests, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="item 1 is larger than 65536 bytes"):
        await manifests.put(["x" * LARGEST_ITEM, "ü" * (LARGEST_ITEM // 2 + 1)])
    assert list((tmp_path / "manifests").iterdir()) == []


@pytest.mark.parametrize("index", [-1, 2, 10**9])
async def test_an_item_beyond_the_manifest_is_not_found(manifests: FileManifests, index: int) -> None:
    name = await manifests.put(["a", "b"])
    with pytest.raises(NotFound, match="it has 2"):
        await manifests.get(name, index)


@pytest.mark.parametrize("name", ["0" * 64, "../manifests", "/etc/passwd", "", "x\n", "A" * 64])
async def test_a_manifest_that_is_not_there_is_not_found(manifests: FileManifests, name: str) -> None:
    with pytest.raises(NotFound):
        await manifests.get(name, 0)


@pytest.mark.parametrize("left", [0, 5, 30])
async def test_a_damaged_manifest_is_named(manifests: FileManifests, tmp_path: Path, left: int) -> None:
    name = await manifests.put(["a", "b"])
    os.truncate(only_file(tmp_path), left)
    with pytest.raises(StorageError, match=name):
        await manifests.get(name, 0)


def written(tmp_path: Path, *spans: int, text: bytes = b'"a"') -> str:
    """A manifest of one item that its trailer says is at `spans`; its name."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    content = text + struct.pack("<2Q", *spans) + struct.pack("<Q8s", 1, b"SHARDS 1")
    (folder / ("b" * 64)).write_bytes(content)
    return "b" * 64


async def test_a_manifest_is_read_as_it_is_written(manifests: FileManifests, tmp_path: Path) -> None:
    assert await manifests.get(written(tmp_path, 0, 3), 0) == "a"


@pytest.mark.parametrize(
    ("spans", "text"),
    [
        pytest.param((2**64 - 1, 2**64 - 1), b'"a"', id="a place beyond all files"),
        pytest.param((0, 2**64 - 1), b'"a"', id="an item larger than all memory"),
        pytest.param((0, 2**40), b'"a"', id="an item larger than may be"),
        pytest.param((3, 0), b'"a"', id="an end before the beginning"),
        pytest.param((0, 3), b"[1]", id="no text"),
        pytest.param((0, 3), b"\xff\xfe\xfd", id="no JSON"),
        pytest.param((0, 60_000), b"[" * 60_000, id="deep nesting"),
    ],
)
async def test_whatever_a_manifest_holds_it_is_damaged_at_worst(
    manifests: FileManifests, tmp_path: Path, spans: tuple[int, int], text: bytes
) -> None:
    name = written(tmp_path, *spans, text=text)
    with pytest.raises(StorageError, match=f"{name} is damaged"):
        await manifests.get(name, 0)


async def test_a_manifest_of_more_items_than_its_file_has_room_for_is_damaged(
    manifests: FileManifests, tmp_path: Path
) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / ("b" * 64)).write_bytes(struct.pack("<Q8s", 2**64 - 1, b"SHARDS 1"))
    with pytest.raises(StorageError, match="is damaged"):
        await manifests.get("b" * 64, 10**18)


@pytest.mark.parametrize("file", ["a link to itself", "a directory"])
async def test_a_manifest_that_cannot_be_opened_is_named_and_not_called_damaged(
    manifests: FileManifests, tmp_path: Path, file: str
) -> None:
    path = tmp_path / "manifests" / ("b" * 64)
    if file == "a directory":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir()
        path.symlink_to(path)
    with pytest.raises(Unavailable, match=f"{path} cannot be read") as caught:
        await manifests.get("b" * 64, 0)
    assert not isinstance(caught.value, StorageError)


async def test_a_disk_without_room_is_an_error_and_leaves_nothing(
    manifests: FileManifests, tmp_path: Path
) -> None:
    (tmp_path / "manifests").touch()
    with pytest.raises(StorageError, match="cannot write a manifest"):
        await manifests.put(["a"])


async def test_items_of_a_stream_are_not_held_in_memory(manifests: FileManifests) -> None:
    most, living = 0, 0

    class Item(str):
        def __new__(cls, text: str) -> Item:
            nonlocal most, living
            living += 1
            most = max(most, living)
            return super().__new__(cls, text)

        def __del__(self) -> None:
            nonlocal living
            living -= 1

    async def many() -> AsyncIterator[str]:
        for n in range(20_000):
            yield Item(n)  # type: ignore[arg-type]

    name = await manifests.put(many())
    assert most <= 3000
    assert await manifests.get(name, 19_999) == "19999"


# Secrets


def job_with(source: str, reference: str) -> Job:
    secret = Secret("TOKEN", source, reference)
    return Job(id="j", name="j", command=("true",), array=Array.of_size(1), secrets=(secret,))


async def resolve(source: str, reference: str, **environ: str) -> str:
    return (await LocalSecrets(environ).resolve(job_with(source, reference)))["TOKEN"]


async def refused(source: str, reference: str, **environ: str) -> str:
    with pytest.raises(StartError) as error:
        await resolve(source, reference, **environ)
    assert str(error.value).startswith(f"secret 'TOKEN' from {source} {reference!r}: ")
    return str(error.value)


async def test_a_job_without_secrets_has_none() -> None:
    job = Job(id="j", name="j", command=("true",), array=Array.of_size(1))
    assert await LocalSecrets({"A": "b"}).resolve(job) == {}


async def test_a_secret_comes_from_the_agents_environment() -> None:
    assert await resolve("env", "THERE", THERE="value") == "value"


@pytest.mark.parametrize(
    ("content", "value"),
    [("hush\n", "hush"), ("hush", "hush"), ("hush\n\n", "hush\n"), (" hush ", " hush "), ("", "")],
)
async def test_a_secret_comes_from_a_file_less_one_newline(tmp_path: Path, content: str, value: str) -> None:
    (tmp_path / "token").write_text(content)
    assert await resolve("file", str(tmp_path / "token")) == value


async def test_a_missing_variable_is_named() -> None:
    assert "no such variable" in await refused("env", "MISSING")


async def test_a_missing_file_is_named() -> None:
    assert "No such file" in await refused("file", "/no/such")


async def test_a_relative_path_is_refused() -> None:
    assert "absolute" in await refused("file", "token")


async def test_an_unknown_source_is_refused() -> None:
    assert "here a secret comes from a file or from env" in await refused("magic", "token")


async def test_a_directory_is_no_secret(tmp_path: Path) -> None:
    assert "not a regular file" in await refused("file", str(tmp_path))


async def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in await refused("file", str(tmp_path / "pipe"))


async def test_a_large_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 65537)
    assert "larger than 65536 bytes" in await refused("file", str(tmp_path / "large"))


@pytest.mark.parametrize("content", [b"hu\0sh", b"hu\xffsh"])
async def test_what_no_variable_can_hold_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "binary").write_bytes(content)
    assert (
        "sh" not in (await refused("file", str(tmp_path / "binary"))).removeprefix("secret").split(": ")[-1]
    )
