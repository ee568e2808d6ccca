"""What every engine promises (`runner.ports.Engine`, `Container`): how attempts start, end, are stopped and
removed.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from runner.errors import EngineUnavailable, ImageError, StartError
from tests.engines.helpers import gone, has_written, run, within
from tests.engines.rigs import Ability, Bench


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
    # A busy engine notes the start a moment after the process began.
    assert before - 1 <= ended.started_at <= ended.finished_at - 0.1 <= time.time() + 1
    assert container.started_at == pytest.approx(ended.started_at, abs=1.0)


async def test_a_missing_command_is_a_start_error(bench: Bench) -> None:
    with pytest.raises(StartError, match="no-such-program"):
        await bench.start(bench.spec("no-such-program", "x"))


async def test_a_start_error_leaves_nothing_behind(bench: Bench) -> None:
    with pytest.raises(StartError):
        await bench.start(bench.spec("/no/such/program"))
    assert await bench.rig.leftovers(bench.host) == []


@pytest.mark.parametrize("env", [{"A": "nul\0byte"}, {"A=B": "x"}])
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


async def test_sigterm_gives_a_program_its_grace(bench: Bench) -> None:
    script = "trap 'echo stopping; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    container, output = await bench.start(bench.script(script))
    await has_written(output, b"ready\n")
    await container.stop(20.0)
    ended = await within(container, 10.0)
    await container.remove()
    assert ended.exit_code == 7
    assert output.data.endswith(b"stopping\n")


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


async def test_labels_come_back_as_they_were(bench: Bench) -> None:
    labels = {"attempt": "job/1#2", "odd": 'a b="c"\nd'}
    container, _ = await bench.start(bench.script("true", labels=labels))
    await container.remove()
    assert dict(container.labels) == labels


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


async def test_what_is_not_wanted_any_more_is_not_started_and_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(EngineUnavailable, match="not wanted any more"):
        await bench.start(bench.script("true", wanted=lambda: False))
    assert await bench.rig.leftovers(bench.host) == []
