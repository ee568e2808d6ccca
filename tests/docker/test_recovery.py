"""An agent is killed with kill -9; the next one on that host takes over or cleans up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.adapters.docker.api import Api
from runner.adapters.docker.recovery import find
from runner.adapters.docker.spec import ROLE, TASK_ROLE
from runner.ports import Output
from tests.docker.proxy import Action, Fault, Proxy
from tests.engines.helpers import has_written, within
from tests.engines.rig_docker import DockerRig, owner
from tests.engines.rigs import Bench, Capture

pytestmark = [pytest.mark.docker, pytest.mark.processes]


async def killed_agent(bench: Bench, state: Path, script: str) -> None:
    """Run an agent that starts this script in a container, and kill it."""
    program = ("-m", "tests.docker.killed_agent", bench.host, str(state), str(bench.spec().image), script)
    pipe = asyncio.subprocess.PIPE
    agent = await asyncio.create_subprocess_exec(sys.executable, *program, stdout=pipe)
    assert agent.stdout is not None
    async with asyncio.timeout(30.0):
        assert await agent.stdout.readline() == b"started\n"
    agent.kill()
    await agent.wait()


async def test_a_running_container_of_a_killed_agent_is_adopted(bench: Bench, tmp_path: Path) -> None:
    script = 'echo early; echo k=v >> "$RUNNER_METADATA"; sleep 3; echo late; exit 8'
    await killed_agent(bench, tmp_path / "docker", script)
    outputs: dict[str, Capture] = {}

    def output(labels: Mapping[str, str]) -> Output:
        return outputs.setdefault(labels["attempt"], Capture())

    [container] = await bench.engine.recover(bench.host, output)
    ended = await within(container, 30.0)
    assert (ended.exit_code, outputs["job/0#1"].data) == (8, b"early\nlate\n")
    assert await container.metadata() == b"k=v\n"
    assert ended.usage.peak_memory is not None or bench.rig.name != "docker"
    await container.remove()
    assert await bench.rig.leftovers(bench.host) == []


async def test_a_container_whose_task_was_given_away_is_removed(bench: Bench, tmp_path: Path) -> None:
    await killed_agent(bench, tmp_path / "docker", "trap '' TERM; sleep 1000")
    assert list(await bench.engine.recover(bench.host, lambda _: None)) == []
    assert await bench.rig.everything(bench.host) == []


async def test_one_that_was_ended_by_a_signal_unseen_has_vanished(
    bench: Bench, tmp_path: Path, api: Api
) -> None:
    await killed_agent(bench, tmp_path / "docker", "sleep 1000")
    [task] = (await find(api, owner(bench))).tasks
    await api.kill(task["Id"], "SIGKILL")
    await api.wait(task["Id"])
    [container] = await bench.engine.recover(bench.host, lambda _: Capture())
    ended = await within(container, 10.0)
    assert (ended.vanished, ended.exit_code) == (True, None)
    await container.remove()


async def test_one_that_a_restarted_engine_found_dead_has_vanished(
    bench: Bench, tmp_path: Path, api: Api
) -> None:
    await killed_agent(bench, tmp_path / "docker", "exit 255")  # what it says of those, after a reboot say
    await api.wait(f"killed-{bench.host}")
    [container] = await bench.engine.recover(bench.host, lambda _: Capture())
    ended = await within(container, 10.0)
    assert (ended.vanished, ended.exit_code) == (True, None)
    await container.remove()


async def test_recovery_and_sweep_do_not_need_the_pruning_of_volumes(
    rig: DockerRig, host: str, faulty: Proxy
) -> None:
    engine = await rig.docker(host, docker_host=faulty.url)
    message = "a prune operation is already running"
    faulty.faults.append(Fault("volumes/prune", Action.FAIL, times=2, status=409, message=message))
    assert list(await engine.recover(host, lambda _: None)) == []
    assert await engine.sweep(host) == 0
    assert faulty.count("volumes/prune") == 2


async def test_one_that_never_started_is_removed_and_not_offered(bench: Bench, api: Api) -> None:
    labels = {**owner(bench).labels, ROLE: TASK_ROLE}
    await api.create(f"made-{bench.host}", {"Image": bench.spec().image, "Cmd": ["x"], "Labels": labels})
    offered: list[Mapping[str, str]] = []
    assert list(await bench.engine.recover(bench.host, offered.append)) == []
    assert offered == []
    assert await bench.rig.everything(bench.host) == []


async def test_what_an_engine_runs_itself_is_not_offered_again(bench: Bench) -> None:
    container, output = await bench.start(bench.script("echo ready; sleep 1; exit 4"))
    await has_written(output, b"ready\n")
    assert list(await bench.engine.recover(bench.host, lambda _: None)) == []
    assert (await within(container, 30.0)).exit_code == 4
    await container.remove()


async def test_another_process_can_sweep_what_an_agent_started(rig: DockerRig, bench: Bench) -> None:
    container, output = await bench.start(bench.script("echo ready; sleep 60"))
    await has_written(output, b"ready\n")
    watchdog = await rig.docker("watchdog")
    assert await watchdog.sweep(bench.host) == 1
    assert (await within(container, 20.0)).vanished
    assert await rig.everything(bench.host) == []


async def test_a_sweep_during_which_another_agent_came_leaves_the_metadata_of_its_tasks(
    rig: DockerRig, host: str
) -> None:
    engine = await rig.docker(host)
    directory = (await engine.connected()).metadata_of(host)
    directory.mkdir(parents=True)
    (directory / "a-task").touch()
    await engine.sweep(host, iter([True, False]).__next__)
    assert (directory / "a-task").exists()
    await engine.sweep(host)
    assert not (directory / "a-task").exists()


async def test_a_paused_container_is_adopted_too(rig: DockerRig, bench: Bench, api: Api) -> None:
    container, output = await bench.start(
        bench.script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    )
    await has_written(output, b"ready\n")
    await api.client.call("POST", f"containers/{container.name}/pause")
    await rig.crash(bench.engine)
    again = await rig.engine(bench.host)
    [adopted] = await again.recover(bench.host, lambda _: Capture())
    await adopted.stop(10.0)
    assert (await within(adopted, 5.0)).exit_code == 3
    await adopted.remove()
