"""What a task finds on every engine: environment, scratch space, metadata file, mounts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.errors import StartError
from runner.model import Mount
from tests.engines.helpers import gone, has_written, run, within
from tests.engines.rigs import Ability, Bench

HOSTILE = {
    "EMPTY": "",
    "QUOTES": 'it\'s "quoted" `id` $(id) $HOME \\ %s',
    "LINES": "first\nsecond\n\nlast\n",
    "UNICODE": "naïve 数据 🚀",
    "TABS": "\ta = b; c=d",
    "ESCAPES": "\x1b[31mred\x1b[0m",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_environment_is_delivered_exactly(bench: Bench, name: str) -> None:
    _, output = await run(bench, f'printf %s "${name}"', env=HOSTILE)
    assert output.data == HOSTILE[name].encode()


async def test_arguments_are_delivered_exactly(bench: Bench) -> None:
    words = [*HOSTILE.values(), "*", "-n", "a b"]
    container, output = await bench.start(bench.spec("printf", "%s|", *words))
    await within(container, 30.0)
    await container.remove()
    assert output.data == "".join(f"{word}|" for word in words).encode()


async def test_scratch_is_an_empty_directory_the_task_may_write(bench: Bench) -> None:
    script = 'ls -A "$RUNNER_SCRATCH"; echo data > "$RUNNER_SCRATCH/file" && cat "$RUNNER_SCRATCH/file"'
    ended, output = await run(bench, script)
    assert (ended.exit_code, output.data) == (0, b"data\n")


async def test_scratch_is_the_attempts_own(bench: Bench) -> None:
    script = 'ls -A "$RUNNER_SCRATCH"; touch "$RUNNER_SCRATCH/mine"; sleep 0.5'
    (_, first), (_, second) = await asyncio.gather(run(bench, script), run(bench, script))
    _, third = await run(bench, script)
    assert (first.data, second.data, third.data) == (b"", b"", b"")


async def test_scratch_is_gone_with_the_attempt(bench: Bench) -> None:
    await run(
        bench,
        'mkdir -p "$RUNNER_SCRATCH/a/b"; echo x > "$RUNNER_SCRATCH/a/b/c"; chmod 000 "$RUNNER_SCRATCH/a"',
    )
    assert await gone(bench) == []


async def test_metadata_is_read_while_the_task_runs_and_after(bench: Bench) -> None:
    script = 'echo step=1 >> "$RUNNER_METADATA"; echo ready; sleep 1; echo step=2 >> "$RUNNER_METADATA"'
    container, output = await bench.start(bench.script(script))
    await has_written(output, b"ready\n")
    assert await container.metadata() == b"step=1\n"
    await within(container, 30.0)
    assert await container.metadata() == b"step=1\nstep=2\n"
    await container.remove()


async def test_no_metadata_is_empty(bench: Bench) -> None:
    container, _ = await bench.start(bench.script("true"))
    await within(container, 30.0)
    assert await container.metadata() == b""
    await container.remove()


async def test_no_more_than_64_kib_of_metadata_are_read(bench: Bench) -> None:
    container, _ = await bench.start(bench.script('head -c 1000000 /dev/zero > "$RUNNER_METADATA"'))
    await within(container, 30.0)
    assert len(await container.metadata()) == 64 * 1024
    await container.remove()


async def test_metadata_never_leads_to_another_file(bench: Bench) -> None:
    script = 'rm -f "$RUNNER_METADATA"; ln -sf /etc/passwd "$RUNNER_METADATA"; true'
    container, _ = await bench.start(bench.script(script))
    await within(container, 30.0)
    assert b"root:" not in await container.metadata()
    await container.remove()


async def test_a_mount_can_be_read(bench: Bench, tmp_path: Path) -> None:
    bench.needs(Ability.MOUNTS)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("hello")
    _, output = await run(bench, "cat /data/file", mounts=(Mount(str(tmp_path / "in"), "/data"),))
    assert output.data == b"hello"


async def test_a_read_only_mount_cannot_be_written(bench: Bench, tmp_path: Path) -> None:
    bench.needs(Ability.MOUNTS)
    ended, _ = await run(bench, "touch /data/file", mounts=(Mount(str(tmp_path), "/data"),))
    assert ended.exit_code != 0
    assert not (tmp_path / "file").exists()


async def test_a_writable_mount_can_be_written(bench: Bench, tmp_path: Path) -> None:
    bench.needs(Ability.MOUNTS)
    mount = Mount(str(tmp_path), "/data", writable=True)
    await run(bench, "echo out > /data/file", mounts=(mount,))
    assert (tmp_path / "file").read_text() == "out\n"


async def test_a_mount_of_nothing_is_a_start_error_and_makes_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.needs(Ability.MOUNTS)
    with pytest.raises(StartError, match="missing"):
        await bench.start(bench.script("true", mounts=(Mount(str(tmp_path / "missing"), "/data"),)))
    assert not (tmp_path / "missing").exists()
    assert await bench.rig.leftovers(bench.host) == []
