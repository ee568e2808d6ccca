"""One container or none, whatever becomes of the engine's replies."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.adapters.docker.api import Api
from runner.adapters.docker.launch import TRIES
from runner.errors import EngineUnavailable, ImageError, StartError
from runner.model import Mount
from tests.docker.proxy import Action, Fault, Proxy
from tests.engines.helpers import within
from tests.engines.rig_docker import DockerRig, owner
from tests.engines.rigs import Bench

pytestmark = pytest.mark.docker

CREATE = r"POST .*/containers/create"
ATTACH = r"POST .*/containers/.*/attach"
START = r"POST .*/containers/.*/start"


@pytest.fixture
async def bench(faulty: Proxy, rig: DockerRig, host: str) -> Bench:
    """An engine that is reached through the faulty proxy, and has its sandbox already."""
    engine = await rig.docker(host, docker_host=faulty.url)
    bench = Bench(rig, host, engine)
    container, _ = await bench.start(bench.script("true"))
    await within(container, 30.0)
    await container.remove()
    faulty.seen.clear()
    return bench


async def runs_once(bench: Bench, script: str = "true") -> None:
    """A task that notes each of its runs in a file has run once; and its container was the only one."""
    container, _ = await bench.start(bench.script(f'echo run >> "$RUNNER_METADATA"; {script}'))
    assert len([name for name in await bench.rig.leftovers(bench.host) if name.startswith("/")]) == 1
    assert (await within(container, 30.0)).exit_code == 0
    assert await container.metadata() == b"run\n"
    await container.remove()
    assert await bench.rig.leftovers(bench.host) == []


@pytest.mark.parametrize("action", [Action.LOSE, Action.DENY])
async def test_a_create_that_worked_though_it_failed_makes_one_container(
    bench: Bench, faulty: Proxy, action: Action
) -> None:
    faulty.faults.append(Fault(CREATE, action))
    await runs_once(bench)
    assert faulty.count(CREATE) == 1


async def test_a_create_that_failed_is_tried_again(bench: Bench, faulty: Proxy) -> None:
    faulty.faults.append(Fault(CREATE, Action.FAIL, times=2))
    await runs_once(bench)
    assert faulty.count(CREATE) == 3


@pytest.mark.parametrize("action", [Action.LOSE, Action.DENY])
@pytest.mark.parametrize("script", ["true", "sleep 2"])
async def test_a_start_that_worked_though_it_failed_runs_the_task_once(
    bench: Bench, faulty: Proxy, action: Action, script: str
) -> None:
    faulty.faults.append(Fault(START, action))
    await runs_once(bench, script)


async def test_a_container_that_somebody_removes_before_its_start_is_made_again(
    bench: Bench, faulty: Proxy
) -> None:
    """As the watchdog does, should the agent freeze just there. It is not the task's failure."""
    faulty.faults.append(Fault(ATTACH, Action.FAIL, status=404, message="No such container: made up"))
    await runs_once(bench)
    assert faulty.count(ATTACH) == 2


async def test_an_engine_that_keeps_failing_is_unavailable_and_leaves_nothing(
    bench: Bench, faulty: Proxy
) -> None:
    faulty.faults.append(Fault(CREATE, Action.FAIL, times=100))
    with pytest.raises(EngineUnavailable, match="made up"):
        await bench.start(bench.script("true"))
    assert faulty.count(CREATE) == TRIES
    assert await bench.rig.leftovers(bench.host) == []


async def test_a_start_that_keeps_failing_leaves_nothing(bench: Bench, faulty: Proxy) -> None:
    faulty.faults.append(Fault(START, Action.FAIL, times=100))
    with pytest.raises(EngineUnavailable):
        await bench.start(bench.script("true"))
    assert await bench.rig.leftovers(bench.host) == []


async def test_what_the_runtime_keeps_refusing_is_a_start_error(bench: Bench, faulty: Proxy) -> None:
    message = "failed to create shim task: OCI runtime create failed: bad idea: unknown"
    faulty.faults.append(Fault(START, Action.FAIL, times=100, message=message))
    with pytest.raises(StartError, match="bad idea"):
        await bench.start(bench.script("true"))


async def test_a_runtime_without_space_is_not_the_tasks_fault(bench: Bench, faulty: Proxy) -> None:
    message = "failed to create shim task: OCI runtime create failed: no space left on device: unknown"
    faulty.faults.append(Fault(START, Action.FAIL, times=100, message=message))
    with pytest.raises(EngineUnavailable, match="no space left"):
        await bench.start(bench.script("true"))


async def test_what_an_earlier_life_left_under_the_name_is_replaced(bench: Bench, api: Api) -> None:
    name = bench.script("true").name
    labels = owner(bench).labels
    old = await api.create(name, {"Image": bench.spec().image, "Cmd": ["x"], "Labels": labels})
    container, output = await bench.start(bench.script("echo new", name=name))
    assert (await within(container, 30.0)).exit_code == 0
    assert output.data == b"new\n"
    assert await api.find(old) is None
    await container.remove()


async def test_somebody_elses_container_of_that_name_is_left_alone(bench: Bench, api: Api) -> None:
    name = bench.script("true").name
    other = await api.create(name, {"Image": bench.spec().image, "Cmd": ["x"]})
    try:
        with pytest.raises(StartError, match="not this host's"):
            await bench.start(bench.script("true", name=name))
        assert await api.find(other) is not None
    finally:
        await api.remove(other)


async def test_an_image_that_was_removed_since_is_looked_for_again(bench: Bench, faulty: Proxy) -> None:
    faulty.faults.append(Fault(CREATE, Action.FAIL, status=404, message="No such image: x"))
    await runs_once(bench)


async def test_a_mount_over_a_file_of_the_image_that_is_a_directory_is_a_start_error(
    bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(StartError):
        await bench.start(bench.script("true", mounts=(Mount(str(tmp_path), "/etc/passwd"),)))
    assert await bench.rig.leftovers(bench.host) == []


@pytest.mark.parametrize("image", ["../../info", "a b", "x?y=z", "", "UPPER/Case"])
async def test_what_is_no_name_of_an_image_is_an_image_error(bench: Bench, image: str) -> None:
    with pytest.raises(ImageError):
        await bench.start(bench.script("true", image=image))


async def test_a_task_without_an_image_is_an_image_error(bench: Bench) -> None:
    with pytest.raises(ImageError, match="names no image"):
        await bench.start(bench.script("true", image=None))


async def test_a_limit_the_engine_refuses_is_a_start_error_with_its_reason(bench: Bench) -> None:
    with pytest.raises(StartError, match="6MB"):
        await bench.start(bench.script("true", memory=1024))
    assert await bench.rig.leftovers(bench.host) == []


async def test_more_cpus_than_the_engine_has_are_all_it_has(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60", vcpus=10_000.0))
    details = await api.inspect(container.name)
    info = await api.client.call("GET", "info")
    assert details["HostConfig"]["NanoCpus"] == info["NCPU"] * 1e9
    await container.remove()
