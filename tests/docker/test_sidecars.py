"""Companion containers: they share the task's network and scratch space, come before it and go after it."""

from __future__ import annotations

import pytest

from runner.adapters.docker.api import Api
from runner.adapters.docker.recovery import find
from runner.errors import StartError
from runner.model import Sidecar
from tests.engines.helpers import has_written, run, within
from tests.engines.rig_docker import DockerRig, owner
from tests.engines.rigs import Bench, Capture

pytestmark = pytest.mark.docker


@pytest.fixture
def image(bench: Bench) -> str:
    return str(bench.spec().image)


def sidecar(image: str, script: str, **env: str) -> Sidecar:
    return Sidecar("helper", image, ("sh", "-c", script), env)


async def test_a_sidecar_shares_the_tasks_network(bench: Bench, image: str) -> None:
    serves = sidecar(image, "while :; do echo hello from the sidecar | nc -l -p 7777; done")
    script = "for i in $(seq 50); do nc 127.0.0.1 7777 2>/dev/null && break; sleep 0.1; done"
    _, output = await run(bench, script, sidecars=(serves,))
    assert output.data == b"hello from the sidecar\n"


async def test_a_sidecar_shares_the_tasks_scratch_space(bench: Bench, image: str) -> None:
    writes = sidecar(image, 'echo from $NAME > "$RUNNER_SCRATCH/note"; sleep 60', NAME="helper")
    script = 'while [ ! -s "$RUNNER_SCRATCH/note" ]; do sleep 0.1; done; cat "$RUNNER_SCRATCH/note"'
    _, output = await run(bench, script, sidecars=(writes,))
    assert output.data == b"from helper\n"


async def test_a_sidecar_does_not_see_the_tasks_environment(bench: Bench, image: str, api: Api) -> None:
    idles = sidecar(image, "sleep 60")
    container, _ = await bench.start(bench.script("sleep 60", env={"SECRET": "x"}, sidecars=(idles,)))
    details = await api.inspect(f"{container.name}.helper")
    await container.remove()
    assert not [entry for entry in details["Config"]["Env"] if entry.startswith("SECRET")]


async def test_a_sidecar_is_stopped_with_grace_before_the_task_is_said_to_have_ended(
    bench: Bench, image: str, api: Api
) -> None:
    flushes = sidecar(image, "trap 'sleep 0.5; exit 42' TERM; while :; do sleep 0.1; done")
    container, _ = await bench.start(bench.script("sleep 1", sidecars=(flushes,)))
    await within(container, 30.0)
    state = (await api.inspect(f"{container.name}.helper"))["State"]
    await container.remove()
    assert (state["Running"], state["ExitCode"]) == (False, 42)


async def test_a_sidecar_that_ignores_its_stop_does_not_hold_up_the_task(bench: Bench, image: str) -> None:
    ignores = sidecar(image, "trap '' TERM; while :; do sleep 1; done")
    ended, _ = await run(bench, "exit 3", sidecars=(ignores,), grace=1.0)
    assert ended.exit_code == 3
    assert await bench.rig.leftovers(bench.host) == []


async def test_a_sidecar_gets_no_more_grace_than_was_left_for_its_task(bench: Bench, image: str) -> None:
    ignores = sidecar(image, "trap '' TERM; while :; do sleep 1; done")
    spec = bench.script("sleep 60", sidecars=(ignores,), grace=60.0)
    container, _ = await bench.start(spec)
    await container.stop(1.0)
    await within(container, 10.0)
    await container.remove()


async def test_a_sidecar_that_cannot_start_is_a_start_error_and_leaves_nothing(
    bench: Bench, image: str
) -> None:
    broken = Sidecar("helper", image, ("no-such-program",))
    with pytest.raises(StartError, match=r"sidecar helper.*no-such-program"):
        await bench.start(bench.script("true", sidecars=(sidecar(image, "sleep 60"), broken)))
    assert await bench.rig.leftovers(bench.host) == []


async def test_sidecars_are_adopted_with_their_task(
    rig: DockerRig, bench: Bench, image: str, api: Api
) -> None:
    spec = bench.script("echo ready; sleep 1", sidecars=(sidecar(image, "sleep 60"),))
    _, output = await bench.start(spec)
    await has_written(output, b"ready\n")
    await rig.crash(bench.engine)
    again = await rig.engine(bench.host)
    [container] = await again.recover(bench.host, lambda _: Capture())
    assert len((await find(api, owner(bench))).sidecars) == 1
    assert (await within(container, 30.0)).exit_code == 0
    await container.remove()
    assert await rig.leftovers(bench.host) == []


async def test_a_sweep_takes_sidecars_and_their_volume_along(bench: Bench, image: str) -> None:
    await bench.start(bench.script("sleep 60", sidecars=(sidecar(image, "sleep 60"),)))
    await bench.engine.sweep(bench.host)
    assert await bench.rig.everything(bench.host) == []
