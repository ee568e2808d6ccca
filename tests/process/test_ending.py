"""What ends, when, and how it is told: the main process, its group, and those that left the group."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.adapters.process.proctree import adopt_orphans
from runner.adapters.process.reaper import reaper
from tests.engines.rigs import Bench
from tests.process.waiting import end_for_good, lives, pid_in, until, zombies

linux = pytest.mark.skipif(not adopt_orphans(), reason="only Linux lets a process adopt orphans")


async def test_a_background_child_ends_with_its_command(bench: Bench, tmp_path: Path) -> None:
    container, _ = await bench.start(bench.script(f"sleep 60 & echo $! > {tmp_path}/pid"))
    assert (await container.wait()).exit_code == 0
    pid = await pid_in(tmp_path / "pid")
    await until(lambda: not lives(pid))


async def test_the_wait_for_a_command_is_not_held_up_by_its_background_child(bench: Bench) -> None:
    container, output = await bench.start(bench.script("echo before; sleep 60 & exit 3"))
    async with asyncio.timeout(5):
        ended = await container.wait()
    assert (ended.exit_code, output.data, ended.warning) == (3, b"before\n", "")


@linux
async def test_a_daemon_in_a_session_of_its_own_ends_with_its_task(bench: Bench, tmp_path: Path) -> None:
    daemon = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' > /dev/null 2>&1 < /dev/null &"
    container, _ = await bench.start(bench.script(f"({daemon}); until test -s {tmp_path}/pid; do :; done"))
    await container.wait()
    pid = await pid_in(tmp_path / "pid")
    await until(lambda: not lives(pid))


@linux
async def test_a_daemon_that_hides_its_environment_is_known_from_an_earlier_sample(
    bench: Bench, tmp_path: Path
) -> None:
    daemon = f"setsid env -i sh -c 'echo $$ > {tmp_path}/pid; sleep 60' > /dev/null 2>&1 &"
    container, _ = await bench.start(bench.script(f"{daemon} sleep 1.2"))
    await container.wait()
    pid = await pid_in(tmp_path / "pid")
    await until(lambda: not lives(pid))


async def test_stopping_ends_a_child_in_a_session_of_its_own(bench: Bench, tmp_path: Path) -> None:
    child = f"setsid sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/pid; sleep 60; sleep 60'"
    container, _ = await bench.start(bench.script(f"trap '' TERM; {child}"))
    pid = await pid_in(tmp_path / "pid")
    await container.stop(0.1)
    await until(lambda: not lives(pid))


async def test_a_stopped_process_gets_to_hear_the_sigterm(bench: Bench) -> None:
    script = "trap 'echo heard; exit 7' TERM; kill -STOP $$; sleep 60"
    container, output = await bench.start(bench.script(script))
    await asyncio.sleep(0.2)
    await container.stop(5)
    assert ((await container.wait()).exit_code, output.data) == (7, b"heard\n")


async def test_a_stopped_process_that_ignores_sigterm_is_killed(bench: Bench) -> None:
    script = "trap '' TERM; echo ready; while :; do kill -STOP $$; done"
    container, output = await bench.start(bench.script(script))
    await until(lambda: output.data == b"ready\n")
    await container.stop(0.2)
    assert (await container.wait()).signal == signal.SIGKILL


async def test_output_held_open_by_one_that_got_away_is_cut_off_and_said_so(
    bench: Bench, tmp_path: Path
) -> None:
    escape = f"env -i setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60' &"
    script = f"echo before; ({escape}); until test -s {tmp_path}/pid; do :; done"
    container, output = await bench.start(bench.script(script))
    async with asyncio.timeout(5):
        ended = await container.wait()
    end_for_good(await pid_in(tmp_path / "pid"))
    assert output.data == b"before\n"
    assert "cut off" in ended.warning


@linux
async def test_orphans_of_a_running_task_do_not_stay_as_zombies(bench: Bench) -> None:
    before = zombies()
    container, output = await bench.start(
        bench.script("for i in 1 2 3 4 5; do (true &); done; echo; sleep 60")
    )
    await until(lambda: output.data == b"\n")
    await until(lambda: zombies() == before)
    await container.remove()


DAEMONS = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.wait()
time.sleep(0.3)
print(flush=True)
time.sleep(60)
"""


@linux
async def test_daemons_that_ended_before_their_task_do_not_stay_as_zombies(bench: Bench) -> None:
    before = zombies()
    container, output = await bench.start(bench.spec(sys.executable, "-c", f"import os; os.fork(){DAEMONS}"))
    await until(lambda: output.data == b"\n\n")
    await until(lambda: zombies() == before)
    await container.remove()


@linux
async def test_nothing_of_a_killed_tree_stays_as_a_zombie(bench: Bench, tmp_path: Path) -> None:
    before = zombies()
    tree = f"setsid sh -c 'sleep 60 & echo $$ > {tmp_path}/pid; sleep 60'"
    container, _ = await bench.start(bench.script(f"sh -c 'sleep 60; true' & {tree}"))
    await pid_in(tmp_path / "pid")
    await container.remove()
    await until(lambda: zombies() == before)


async def test_other_children_keep_their_exit_status(bench: Bench) -> None:
    exits = [sys.executable, "-c", "import time; time.sleep(0.3); raise SystemExit(5)"]
    looped = await asyncio.create_subprocess_exec(*exits)
    plain = await asyncio.to_thread(subprocess.Popen, exits)
    container, _ = await bench.start(bench.spec("sleep", "0.8"))
    await container.wait()
    assert await looped.wait() == 5
    assert await asyncio.to_thread(plain.wait) == 5


async def test_a_task_whose_status_another_took_has_vanished(bench: Bench) -> None:
    container, _ = await bench.start(bench.spec("sleep", "0.2"))
    [pid] = reaper().leaders
    os.waitpid(pid, 0)  # noqa: ASYNC222 the loop must not come first
    ended = await container.wait()
    assert (ended.vanished, ended.exit_code) == (True, None)


async def test_a_wait_that_was_given_up_leaves_nothing_behind(bench: Bench) -> None:
    container, _ = await bench.start(bench.spec("sleep", "60"))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(container.wait(), 0.01)
    await container.remove()
    assert (await container.wait()).signal == signal.SIGKILL


async def test_many_at_once_all_end_with_their_own_status(bench: Bench) -> None:
    async def one(number: int) -> tuple[int | None, bytes]:
        container, output = await bench.start(bench.script(f"echo {number}; exit {number}"))
        ended = await container.wait()
        await container.remove()
        return ended.exit_code, output.data

    ended = await asyncio.gather(*map(one, range(50)))
    assert ended == [(number, f"{number}\n".encode()) for number in range(50)]
