"""What every engine promises (`runner.ports.Engine`, `Container`)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from runner.errors import ImageError, StartError
from runner.model import Mount
from runner.ports import Container, Exit
from tests.engines.rigs import Ability, Bench, Capture

HOSTILE = {
    "EMPTY": "",
    "QUOTES": "it's \"quoted\" `id` $(id) $HOME \\ %s",
    "LINES": "first\nsecond\n\nlast\n",
    "UNICODE": "naïve 数据 🚀",
    "TABS": "\ta = b; c=d",
    "ESCAPES": "\x1b[31mred\x1b[0m",
}


async def run(bench: Bench, text: str, **changes: object) -> tuple[Exit, Capture]:
    """Run a shell script to its end and remove it."""
    container, output = await bench.start(bench.script(text, **changes))
    try:
        return await within(container, 30.0), output
    finally:
        await container.remove()


async def within(container: Container, seconds: float) -> Exit:
    async with asyncio.timeout(seconds):
        return await container.wait()


async def gone(bench: Bench, seconds: float = 5.0) -> list[str]:
    """What exists of attempts, once nothing does or after so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := list(await bench.rig.leftovers(bench.host))) and loop.time() < end:
        await asyncio.sleep(0.05)
    return left


async def has_written(output: Capture, text: bytes, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while text not in output.data:
            await asyncio.sleep(0.02)


async def test_a_program_that_succeeds_exits_with_zero(bench: Bench) -> None:
    ended, _ = await run(bench, "exit 0")
    assert (ended.exit_code, ended.signal, ended.out_of_memory, ended.vanished) == (0, None, False, False)


@pytest.mark.parametrize("code", [1, 3, 124, 125, 126, 127, 255])
async def test_an_exit_code_is_the_programs_own(bench: Bench, code: int) -> None:
    ended, _ = await run(bench, f"exit {code}")
    assert (ended.exit_code, ended.signal) == (code, None)


async def test_a_signal_that_ended_the_program_is_told(bench: Bench) -> None:
    ended, _ = await run(bench, "kill -9 $$")
    assert ended.signal == 9


async def test_start_and_end_are_times_around_the_run(bench: Bench) -> None:
    before = time.time()
    container, _ = await bench.start(bench.script("sleep 0.3"))
    ended = await within(container, 30.0)
    await container.remove()
    assert before - 1 <= ended.started_at <= ended.finished_at - 0.3 <= time.time() + 1
    assert container.started_at == pytest.approx(ended.started_at, abs=1.0)


async def test_a_missing_command_is_a_start_error(bench: Bench) -> None:
    with pytest.raises(StartError, match="no-such-program"):
        await bench.start(bench.spec("no-such-program", "x"))


async def test_a_start_error_leaves_nothing_behind(bench: Bench) -> None:
    with pytest.raises(StartError):
        await bench.start(bench.spec("/no/such/program"))
    assert await bench.rig.leftovers(bench.host) == []


@pytest.mark.parametrize("env", [{"A": "nul\0byte"}, {"A=B": "x"}, {"": "x"}, {"BAD": "\udc80"}])
async def test_an_environment_no_program_can_be_given_is_a_start_error(
    bench: Bench, env: dict[str, str]
) -> None:
    with pytest.raises(StartError) as raised:
        await bench.start(bench.script("true", env={**env, "SECRET": "hunter2"}))
    assert "hunter2" not in str(raised.value)
    assert "nul" not in str(raised.value)


async def test_a_missing_image_is_an_image_error(bench: Bench) -> None:
    bench.needs(Ability.IMAGES)
    with pytest.raises(ImageError, match="Not An Image"):
        await bench.start(bench.script("true", image="Not An Image"))
    assert await bench.rig.leftovers(bench.host) == []


async def test_both_streams_are_captured(bench: Bench) -> None:
    _, output = await run(bench, "echo to-stdout; echo to-stderr >&2")
    assert sorted(output.data.split()) == [b"to-stderr", b"to-stdout"]


async def test_output_comes_while_the_program_runs(bench: Bench) -> None:
    container, output = await bench.start(bench.script("echo early; sleep 60"))
    await has_written(output, b"early\n")
    await container.remove()


async def test_a_program_may_write_nothing(bench: Bench) -> None:
    ended, output = await run(bench, "true")
    assert (output.written, ended.exit_code) == (0, 0)


async def test_output_without_a_last_newline_is_complete(bench: Bench) -> None:
    _, output = await run(bench, "printf 'no newline'")
    assert output.data == b"no newline"


async def test_output_is_bytes_whatever_they_are(bench: Bench) -> None:
    _, output = await run(bench, r"printf 'a\000b\377\376\033[31m\r\n'")
    assert output.data == b"a\0b\xff\xfe\x1b[31m\r\n"


async def test_the_last_words_are_delivered_before_wait_returns(bench: Bench) -> None:
    for _ in range(5):
        _, output = await run(bench, "seq 1 2000; echo the end >&2")
        assert b"the end\n" in output.data
        assert output.written == len(b"".join(b"%d\n" % n for n in range(1, 2001)) + b"the end\n")


async def test_one_line_of_100_mb_is_counted_to_the_last_byte(bench: Bench) -> None:
    container, output = await bench.start(bench.script("head -c 100000000 /dev/zero"))
    ended = await within(container, 60.0)
    await container.remove()
    assert (ended.exit_code, output.written) == (0, 100_000_000)


async def test_a_flood_of_output_does_not_keep_a_task_from_being_stopped(bench: Bench) -> None:
    container, output = await bench.start(bench.script("exec yes"))
    await has_written(output, b"y\n")
    async with asyncio.timeout(20.0):
        await container.stop(2.0)
        await container.wait()
    await container.remove()
    assert set(output.data) == set(b"y\n")


async def test_a_flood_does_not_starve_the_event_loop(bench: Bench) -> None:
    container, output = await bench.start(bench.script("exec yes"))
    await has_written(output, b"y\n")
    loop = asyncio.get_running_loop()
    longest = 0.0
    for _ in range(20):
        asked = loop.time()
        await asyncio.sleep(0.02)
        longest = max(longest, loop.time() - asked - 0.02)
    await container.remove()
    assert longest < 1.0


async def test_sigterm_gives_a_program_its_grace(bench: Bench) -> None:
    script = "trap 'echo stopping; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    container, output = await bench.start(bench.script(script))
    await has_written(output, b"ready\n")
    await container.stop(20.0)
    ended = await within(container, 10.0)
    await container.remove()
    assert (ended.exit_code, output.data) == (7, b"ready\nstopping\n")


async def test_a_program_without_a_handler_ends_at_sigterm(bench: Bench) -> None:
    container, _ = await bench.start(bench.spec("sleep", "60"))
    await asyncio.sleep(0.2)
    asked = time.monotonic()
    await container.stop(20.0)
    ended = await within(container, 10.0)
    await container.remove()
    assert time.monotonic() - asked < 10.0
    assert ended.signal == 15


async def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(bench: Bench) -> None:
    container, output = await bench.start(bench.script("trap '' TERM; echo ready; while :; do sleep 1; done"))
    await has_written(output, b"ready\n")
    asked = time.monotonic()
    await container.stop(1.0)
    took = time.monotonic() - asked
    ended = await within(container, 10.0)
    await container.remove()
    assert 0.9 <= took < 10.0
    assert ended.signal == 9


async def test_stopping_what_has_ended_is_harmless(bench: Bench) -> None:
    container, _ = await bench.start(bench.script("exit 5"))
    await within(container, 30.0)
    await container.stop(1.0)
    assert (await within(container, 5.0)).exit_code == 5
    await container.remove()


async def test_children_do_not_outlive_their_program(bench: Bench) -> None:
    await run(bench, "sleep 1000 & (trap '' TERM HUP; sleep 1000) & exit 0")
    assert await gone(bench) == []


async def test_removing_ends_whatever_still_runs(bench: Bench) -> None:
    container, output = await bench.start(bench.script("trap '' TERM; sleep 1000 & echo ready; wait"))
    await has_written(output, b"ready\n")
    await container.remove()
    assert await gone(bench) == []


async def test_removing_twice_is_harmless(bench: Bench) -> None:
    container, _ = await bench.start(bench.script("true"))
    await within(container, 30.0)
    await container.remove()
    await container.remove()
    assert await gone(bench) == []


async def test_wait_may_be_cancelled_and_called_again(bench: Bench) -> None:
    container, _ = await bench.start(bench.script("sleep 0.7; exit 4"))
    with pytest.raises(TimeoutError):
        await within(container, 0.1)
    first, second = await asyncio.gather(within(container, 30.0), within(container, 30.0))
    assert first == second == await within(container, 1.0)
    assert first.exit_code == 4
    await container.remove()


async def test_labels_and_environment_names_are_kept(bench: Bench) -> None:
    labels = {"attempt": "job/1#2", "odd": 'a b="c"\nd'}
    container, _ = await bench.start(bench.script("true", labels=labels))
    await container.remove()
    assert dict(container.labels) == labels


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
    await run(bench, 'mkdir -p "$RUNNER_SCRATCH/a/b"; echo x > "$RUNNER_SCRATCH/a/b/c"; chmod 000 "$RUNNER_SCRATCH/a"')
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


async def test_too_much_memory_is_reported_with_evidence(bench: Bench) -> None:
    bench.needs(Ability.MEMORY_LIMIT)
    hungry = 'BEGIN { s = "x"; while (1) { s = s s } }'
    container, _ = await bench.start(bench.spec("awk", hungry, memory=64 * 1024**2))
    ended = await within(container, 60.0)
    await container.remove()
    assert ended.out_of_memory
    assert ended.exit_code != 0


async def test_sigkill_alone_is_no_evidence_of_too_much_memory(bench: Bench) -> None:
    ended, _ = await run(bench, "kill -9 $$")
    assert not ended.out_of_memory


async def test_cpu_time_is_measured(bench: Bench) -> None:
    bench.needs(Ability.USAGE)
    script = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 1.5"
    ended, _ = await run(bench, script)
    assert ended.usage.cpu_seconds is not None
    assert 0.05 < ended.usage.cpu_seconds < 30


async def test_peak_memory_is_measured(bench: Bench) -> None:
    bench.needs(Ability.USAGE)
    script = "x=$(head -c 30000000 /dev/zero | tr '\\0' a); sleep 1.5; echo ${#x}"
    ended, output = await run(bench, script)
    assert output.data == b"30000000\n"
    assert ended.usage.peak_memory is not None
    assert ended.usage.peak_memory > 25_000_000


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


async def test_two_run_at_once(bench: Bench) -> None:
    began = time.monotonic()
    first, second = await asyncio.gather(run(bench, "sleep 2; echo one"), run(bench, "sleep 2; echo two"))
    assert (first[1].data, second[1].data) == (b"one\n", b"two\n")
    assert time.monotonic() - began < 4.0


async def test_preparing_is_repeatable(bench: Bench) -> None:
    job = bench.rig.job("job")
    await bench.engine.prepare(job, 2)
    await bench.engine.prepare(job, 2)
    assert (await run(bench, "echo ok"))[1].data == b"ok\n"


async def test_an_engine_that_works_has_no_complaint(bench: Bench) -> None:
    assert await bench.engine.check() == ""


async def test_a_sweep_ends_and_removes_all_of_the_host(bench: Bench) -> None:
    containers = [(await bench.start(bench.script("trap '' TERM; sleep 1000")))[0] for _ in range(2)]
    assert await bench.engine.sweep(bench.host) == 2
    assert await gone(bench) == []
    for container in containers:
        assert (await within(container, 20.0)).exit_code != 0
        await container.remove()


async def test_a_sweep_leaves_other_hosts_alone(bench: Bench) -> None:
    other = Bench(bench.rig, f"{bench.host}-2", await bench.rig.engine(f"{bench.host}-2"))
    container, output = await other.start(other.script("echo ready; sleep 1; exit 9"))
    await has_written(output, b"ready\n")
    assert await bench.engine.sweep(bench.host) == 0
    assert (await within(container, 20.0)).exit_code == 9
    await container.remove()


async def test_what_a_killed_agent_left_is_adopted_with_all_its_output(bench: Bench) -> None:
    spec = bench.script("echo before; sleep 1.5; echo after; exit 6", labels={"attempt": "a/1#1"})
    _, output = await bench.start(spec)
    await has_written(output, b"before\n")
    await bench.rig.crash(bench.engine)
    again, taken = await bench.rig.engine(bench.host), Capture()
    [container] = await again.recover(bench.host, lambda labels: taken if labels["attempt"] == "a/1#1" else None)
    ended = await within(container, 30.0)
    assert (ended.exit_code, taken.data) == (6, b"before\nafter\n")
    await container.remove()


async def test_what_ended_while_no_agent_was_there_is_adopted_too(bench: Bench) -> None:
    _, output = await bench.start(bench.script("echo ready; sleep 0.3; echo done; exit 6"))
    await has_written(output, b"ready\n")
    await bench.rig.crash(bench.engine)
    await asyncio.sleep(1.0)
    again, taken = await bench.rig.engine(bench.host), Capture()
    [container] = await again.recover(bench.host, lambda _: taken)
    ended = await within(container, 30.0)
    assert (ended.exit_code, taken.data) == (6, b"ready\ndone\n")
    await container.remove()


async def test_an_adopted_container_is_what_it_was(bench: Bench) -> None:
    script = 'echo k=v >> "$RUNNER_METADATA"; echo ready; sleep 60'
    container, output = await bench.start(bench.script(script, labels={"attempt": "x"}))
    await has_written(output, b"ready\n")
    await bench.rig.crash(bench.engine)
    again = await bench.rig.engine(bench.host)
    [adopted] = await again.recover(bench.host, lambda _: Capture())
    assert (adopted.name, dict(adopted.labels)) == (container.name, dict(container.labels))
    assert adopted.started_at == pytest.approx(container.started_at, abs=1.0)
    assert await adopted.metadata() == b"k=v\n"
    await adopted.stop(5.0)
    assert (await within(adopted, 10.0)).signal == 15
    await adopted.remove()
    assert await gone(Bench(bench.rig, bench.host, again)) == []


async def test_what_nobody_wants_is_removed_by_recovery(bench: Bench) -> None:
    await bench.start(bench.script("trap '' TERM; sleep 1000"))
    await bench.rig.crash(bench.engine)
    again = await bench.rig.engine(bench.host)
    assert list(await again.recover(bench.host, lambda _: None)) == []
    assert await gone(Bench(bench.rig, bench.host, again)) == []


async def test_recovery_leaves_other_hosts_alone(bench: Bench) -> None:
    other = Bench(bench.rig, f"{bench.host}-2", await bench.rig.engine(f"{bench.host}-2"))
    container, output = await other.start(other.script("echo ready; sleep 1; exit 9"))
    await has_written(output, b"ready\n")
    assert list(await bench.engine.recover(bench.host, lambda _: None)) == []
    assert (await within(container, 20.0)).exit_code == 9
    await container.remove()


async def test_closing_removes_what_was_kept_ready(bench: Bench) -> None:
    await bench.engine.prepare(bench.rig.job("job"), 2)
    await run(bench, "true")
    await asyncio.sleep(0.5)
    other = await bench.rig.engine("another")
    await bench.engine.close()
    assert await bench.rig.everything(bench.host) == []
    await other.close()


async def test_a_start_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    starting = asyncio.create_task(bench.start(bench.script("sleep 1000")))
    await asyncio.sleep(0.03)
    starting.cancel()
    try:
        container, _ = await starting
        await container.remove()
    except asyncio.CancelledError:
        pass
    assert await gone(bench) == []
