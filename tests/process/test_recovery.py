"""What a killed agent left, found by the next one: a real process, really killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from runner.adapters.process import roll
from runner.adapters.process.engine import ProcessEngine
from runner.ports import Engine
from tests.engines.rig_process import ProcessRig, marked_processes
from tests.engines.rigs import Bench
from tests.process.waiting import end_for_good, lives, pid_in

AGENT = """
import asyncio, sys, time
from pathlib import Path
from tests.engines.rig_process import ProcessRig
from tests.engines.rigs import Bench

async def main():
    host, state, *scripts = sys.argv[1:]
    rig = ProcessRig(Path(state))
    bench = Bench(rig, host, await rig.engine(host))
    for script in scripts:
        await bench.start(bench.script(script))
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class Agents:
    """Agents in processes of their own."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._places: set[tuple[str, Path]] = set()

    def start(self, host: str, state: Path, *scripts: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", AGENT, host, str(state), *scripts]
        agent = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._started.append(agent)
        self._places.add((host, state))
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"started\n"
        return agent

    def kill(self) -> None:
        for agent in self._started:
            agent.kill()
            agent.wait()
            assert agent.stdout is not None
            agent.stdout.close()

    async def clean(self) -> None:
        self.kill()
        for host, state in self._places:
            engine = ProcessEngine(host, state, time.time)
            await engine.sweep(host)
            await engine.close()


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    agents = Agents()
    yield agents
    await agents.clean()


async def recovered(rig: ProcessRig, host: str) -> Engine:
    engine = await rig.engine(host)
    assert await engine.recover(host, lambda _: None) == []
    return engine


async def test_what_a_killed_agent_left_is_ended_and_its_scratch_space_freed(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path
) -> None:
    agents.start(host, tmp_path, "echo > data; sleep 60", "setsid sleep 60 & sleep 60")
    agents.kill()
    assert len(await rig.leftovers(host)) > 2
    await recovered(rig, host)
    assert await rig.leftovers(host) == []


@pytest.mark.parametrize(
    "script",
    [
        "exec env -i sh -c 'echo $$ > {file}; sleep 60; true'",
        "env -i sh -c 'echo $$ > {file}; sleep 60; true'; true",
        "env -i setsid sh -c 'echo $$ > {file}; sleep 60; true' & sleep 60",
    ],
)
async def test_an_orphan_that_cleared_its_environment_is_ended_by_recovery(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path, script: str
) -> None:
    agents.start(host, tmp_path, script.format(file=tmp_path / "pid"))
    pid = await pid_in(tmp_path / "pid")
    agents.kill()
    await recovered(rig, host)
    assert not lives(pid)


async def test_such_an_orphan_is_found_though_its_tasks_command_has_ended(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path
) -> None:
    orphan = f"env -i sh -c 'echo $$ > {tmp_path}/pid; sleep 60; true'"
    agents.start(host, tmp_path, f"echo $$ > {tmp_path}/command; {orphan} & until test -e end; do :; done")
    pid, command = await pid_in(tmp_path / "pid"), await pid_in(tmp_path / "command")
    agents.kill()
    end_for_good(command)
    await recovered(rig, host)
    assert not lives(pid)


def test_a_pid_on_the_roll_that_has_become_another_processs_is_nobodys(tmp_path: Path) -> None:
    directory, this = str(tmp_path / "scratch"), roll.entry(os.getpid())
    assert this is not None
    roll.write(directory, [this])
    assert roll.read(str(tmp_path)) == {os.getpid(): directory}
    roll.write(directory, [f"{this}0"])
    assert roll.read(str(tmp_path)) == {}


def test_a_task_that_is_over_is_off_the_roll(tmp_path: Path) -> None:
    this = roll.entry(os.getpid())
    assert this is not None
    roll.write(str(tmp_path / "scratch"), [this, this])
    roll.write(str(tmp_path / "scratch"), [])
    assert roll.read(str(tmp_path)) == {}


async def test_a_sweep_counts_tasks_and_not_processes(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path
) -> None:
    agents.start(host, tmp_path, "sleep 60 & sleep 60 & wait", "sleep 60")
    agents.kill()
    engine = await rig.engine(host)
    assert await engine.sweep(host) == 2
    assert await engine.sweep(host) == 0


async def test_a_frozen_agents_tasks_can_be_ended_from_outside(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path
) -> None:
    agent = agents.start(host, tmp_path, "sleep 60")
    psutil.Process(agent.pid).suspend()
    engine = await rig.engine(host)
    assert await engine.sweep(host) == 1
    assert marked_processes(host) == []


async def test_another_hosts_tasks_are_let_be(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path
) -> None:
    agents.start(host, tmp_path, "exec sleep 60")
    await recovered(rig, f"not-{host}")
    assert len(marked_processes(host)) == 1


async def test_another_installations_host_of_the_same_name_is_let_be(
    rig: ProcessRig, agents: Agents, host: str, tmp_path: Path
) -> None:
    agents.start(host, tmp_path / "elsewhere", "exec sleep 60")
    await recovered(rig, host)
    assert len(marked_processes(host)) == 1


async def test_who_only_has_the_hosts_name_in_its_environment_is_let_be(rig: ProcessRig, host: str) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60", env={**os.environ, "RUNNER_HOST": host})
    await recovered(rig, host)
    assert lives(bystander.pid)
    bystander.kill()
    await bystander.wait()


INNER = """
import asyncio, os, time
from pathlib import Path
from runner.adapters.process.engine import ProcessEngine

async def main():
    host = os.environ["RUNNER_HOST"]
    engine = ProcessEngine(host, Path(os.environ["STATE"]), time.time)
    print(await engine.sweep(host))

asyncio.run(main())
"""


async def test_an_agent_that_runs_inside_a_task_does_not_end_itself(bench: Bench, tmp_path: Path) -> None:
    env = {"INNER": INNER, "STATE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    script = f'sleep 60 & {sys.executable} -c "$INNER"'
    container, output = await bench.start(bench.script(script, env=env))
    assert (await container.wait()).exit_code == 0
    assert output.data == b"1\n"


async def test_a_closed_engine_leaves_nothing(bench: Bench) -> None:
    await bench.start(bench.spec("sleep", "60"))
    await bench.engine.close()
    assert await bench.rig.everything(bench.host) == []


async def test_tasks_of_ones_own_end_with_a_sweep_as_if_killed(bench: Bench) -> None:
    container, _ = await bench.start(bench.spec("sleep", "60"))
    assert await bench.engine.sweep(bench.host) == 1
    async with asyncio.timeout(5):
        assert (await container.wait()).signal == 9
