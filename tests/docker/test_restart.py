"""The engine is stopped, killed, restarted or hangs while tasks run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.errors import EngineUnavailable
from tests.docker.private_engine import PrivateEngine, missing
from tests.docker.proxy import Action, Fault, Proxy
from tests.engines.helpers import has_written, run, within
from tests.engines.rig_docker import DockerRig
from tests.engines.rigs import Bench

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(bool(missing()), reason=f"restarts an engine of its own: {missing()}"),
]

SCRIPTS = {
    "ends at SIGTERM": "echo ready; exec sleep 60",
    "claims success at SIGTERM": "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done",
}


@pytest.fixture
async def private(request: pytest.FixtureRequest) -> AsyncIterator[PrivateEngine]:
    made = PrivateEngine(*getattr(request, "param", ()))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def bench(private: PrivateEngine, tmp_path: Path, host: str) -> AsyncIterator[Bench]:
    rig = DockerRig(tmp_path)
    yield Bench(rig, host, await rig.docker(host, docker_host=private.url, patience=60.0))
    for engine in rig.engines:
        await engine.close()


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_a_stopping_engine_ends_has_vanished(
    bench: Bench, private: PrivateEngine, script: str
) -> None:
    container, output = await bench.start(bench.script(SCRIPTS[script]))
    await has_written(output, b"ready\n")
    await private.end(signal.SIGTERM)
    await private.start()
    ended = await within(container, 60.0)
    assert (ended.vanished, ended.exit_code) == (True, None)
    assert "engine" in ended.warning


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_a_killed_engine_ends_when_it_comes_back_has_vanished(
    bench: Bench, private: PrivateEngine, script: str
) -> None:
    container, output = await bench.start(bench.script(SCRIPTS[script]))
    await has_written(output, b"ready\n")
    await private.end(signal.SIGKILL)
    await private.start()
    ended = await within(container, 60.0)
    assert (ended.vanished, ended.exit_code) == (True, None)


async def test_an_end_before_the_engine_stops_is_the_programs_own(
    bench: Bench, private: PrivateEngine
) -> None:
    container, _ = await bench.start(bench.script("exit 5"))
    await within(container, 30.0)
    await private.end(signal.SIGTERM)
    assert (await within(container, 1.0)).exit_code == 5
    await private.start()


async def test_tasks_start_again_after_a_restart(bench: Bench, private: PrivateEngine) -> None:
    await run(bench, "true")
    await private.end(signal.SIGTERM)
    await private.start()
    ended, output = await run(bench, "echo again")
    assert (ended.exit_code, output.data) == (0, b"again\n")


@pytest.mark.parametrize("private", [("--live-restore",)], indirect=True)
async def test_a_task_the_engine_leaves_alone_goes_on_with_its_output(
    bench: Bench, private: PrivateEngine
) -> None:
    script = "echo before; sleep 4; echo after; exit 7"
    container, output = await bench.start(bench.script(script))
    await has_written(output, b"before\n")
    await private.end(signal.SIGKILL)
    await private.start()
    ended = await within(container, 60.0)
    assert (ended.vanished, ended.exit_code) == (False, 7)
    assert output.data == b"before\nafter\n"


async def test_an_engine_that_stays_away_is_unavailable(bench: Bench, private: PrivateEngine) -> None:
    assert isinstance(bench.rig, DockerRig)
    impatient = Bench(bench.rig, bench.host, await bench.rig.docker(bench.host, private.url, patience=1.0))
    container, output = await impatient.start(impatient.script(SCRIPTS["ends at SIGTERM"]))
    await has_written(output, b"ready\n")
    await private.end(signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="did not answer"):
        await within(container, 30.0)
    assert "does not answer" in await impatient.engine.check()
    with pytest.raises(EngineUnavailable):
        await impatient.start(impatient.script("true"))
    await private.start()


@pytest.mark.parametrize("private", [("--live-restore",)], indirect=True)
async def test_a_task_is_seen_again_after_an_engine_was_away_for_longer_than_anybody_waited(
    bench: Bench, private: PrivateEngine
) -> None:
    assert isinstance(bench.rig, DockerRig)
    impatient = Bench(bench.rig, bench.host, await bench.rig.docker(bench.host, private.url, patience=0.5))
    container, output = await impatient.start(impatient.script("echo before; sleep 6; echo after; exit 7"))
    await has_written(output, b"before\n")
    await private.end(signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="did not answer"):
            await within(container, 30.0)
    await private.start()
    ended = await within(container, 60.0)
    assert (ended.vanished, ended.exit_code) == (False, 7)
    assert output.data == b"before\nafter\n"


@pytest.mark.parametrize("private", [("--live-restore",)], indirect=True)
async def test_a_task_that_was_out_of_sight_has_its_grace_when_it_is_stopped(
    bench: Bench, private: PrivateEngine
) -> None:
    assert isinstance(bench.rig, DockerRig)
    impatient = Bench(bench.rig, bench.host, await bench.rig.docker(bench.host, private.url, patience=0.5))
    script = "trap 'sleep 1; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    container, output = await impatient.start(impatient.script(script))
    await has_written(output, b"ready\n")
    await private.end(signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="did not answer"):
        await within(container, 30.0)
    await private.start()
    await container.stop(20.0)
    assert (await within(container, 10.0)).exit_code == 3


async def test_an_engine_that_hangs_is_unhealthy(faulty: Proxy, tmp_path: Path, host: str) -> None:
    rig = DockerRig(tmp_path)
    engine = await rig.docker(host, docker_host=faulty.url)
    faulty.faults.append(Fault(".", Action.HANG, times=1000))
    async with asyncio.timeout(15.0):
        assert "does not answer" in await engine.check()
    await rig.crash(engine)
