"""What every engine promises of what a task writes."""

from __future__ import annotations

import asyncio

from tests.engines.helpers import has_written, run, within
from tests.engines.rigs import Bench


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
