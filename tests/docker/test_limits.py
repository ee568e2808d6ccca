"""What a container is held to, and what it may not."""

from __future__ import annotations

import hashlib

import pytest

from runner.adapters.docker.api import Api
from tests.engines.helpers import has_written, run, within
from tests.engines.rigs import Bench
from tests.images import busybox_image

pytestmark = pytest.mark.docker


async def test_a_task_cannot_gain_privileges(bench: Bench) -> None:
    _, output = await run(bench, "grep NoNewPrivs /proc/self/status")
    assert output.data.split() == [b"NoNewPrivs:", b"1"]


async def test_a_task_cannot_start_more_processes_than_its_limit(bench: Bench) -> None:
    script = "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; wait"
    ended, output = await run(bench, script, pids=20)
    assert b"can't fork" in output.data
    assert ended.exit_code != 0


async def test_memory_is_limited_and_swap_is_none(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60", memory=64 * 1024**2))
    host = (await api.inspect(container.name))["HostConfig"]
    await container.remove()
    assert (host["Memory"], host["MemorySwap"]) == (64 * 1024**2, 64 * 1024**2)


async def test_a_fraction_of_a_cpu_is_a_limit(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60", vcpus=0.25))
    host = (await api.inspect(container.name))["HostConfig"]
    await container.remove()
    assert host["NanoCpus"] == 250_000_000


async def test_the_engines_own_log_of_a_task_is_bounded(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60"))
    log = (await api.inspect(container.name))["HostConfig"]["LogConfig"]
    await container.remove()
    assert log == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


async def test_orphans_are_reaped_while_the_task_runs(bench: Bench) -> None:
    script = "(sleep 0.1 &) ; sleep 1; grep -c 'State:.Z' /proc/[0-9]*/status | grep -c ':1'"
    _, output = await run(bench, script)
    assert output.data == b"0\n"


async def test_a_child_killed_for_want_of_memory_is_a_warning_if_the_task_succeeds(bench: Bench) -> None:
    hungry = "awk 'BEGIN { s = \"x\"; while (1) s = s s }'"
    ended, _ = await run(bench, f"{hungry}; exit 0", memory=32 * 1024**2)
    assert (ended.exit_code, ended.out_of_memory) == (0, False)
    assert "memory" in ended.warning


async def test_a_paused_container_can_be_stopped(bench: Bench, api: Api) -> None:
    container, output = await bench.start(
        bench.script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    )
    await has_written(output, b"ready\n")
    await api.client.call("POST", f"containers/{container.name}/pause")
    await container.stop(10.0)
    assert (await within(container, 5.0)).exit_code == 3
    await container.remove()


async def test_a_paused_container_can_be_removed(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60"))
    await api.client.call("POST", f"containers/{container.name}/pause")
    await container.remove()
    assert await bench.rig.leftovers(bench.host) == []


async def test_a_container_somebody_removed_has_vanished(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60"))
    await api.remove(container.name)
    ended = await within(container, 10.0)
    await container.remove()
    assert (ended.vanished, ended.exit_code) == (True, None)


async def test_a_container_somebody_killed_was_killed(bench: Bench, api: Api) -> None:
    container, _ = await bench.start(bench.script("sleep 60"))
    await api.kill(container.name, "SIGKILL")
    ended = await within(container, 10.0)
    await container.remove()
    assert (ended.vanished, ended.signal, ended.out_of_memory) == (False, 9, False)


async def test_scratch_and_metadata_are_writable_for_an_image_with_a_user_of_its_own(
    bench: Bench, api: Api
) -> None:
    image = await busybox_image(api, ["USER 1000"])
    script = 'id -u; echo x > "$RUNNER_SCRATCH/file" && echo k=v >> "$RUNNER_METADATA" && echo fine'
    _, output = await run(bench, script, image=image)
    assert output.data == b"1000\nfine\n"


async def test_an_entrypoint_of_the_image_gets_the_command_as_arguments(bench: Bench, api: Api) -> None:
    image = await busybox_image(api, ['ENTRYPOINT ["echo", "entry"]'])
    container, output = await bench.start(bench.spec("a", "b", image=image))
    await within(container, 30.0)
    await container.remove()
    assert output.data == b"entry a b\n"


async def test_the_images_own_command_runs_if_the_job_gives_none(bench: Bench, api: Api) -> None:
    image = await busybox_image(api, ['CMD ["echo", "default"]'])
    container, output = await bench.start(bench.spec(image=image))
    await within(container, 30.0)
    await container.remove()
    assert output.data == b"default\n"


async def test_the_working_directory_is_the_images(bench: Bench, api: Api) -> None:
    image = await busybox_image(api, ["WORKDIR /tmp"])
    _, output = await run(bench, "pwd", image=image)
    assert output.data == b"/tmp\n"


async def test_a_probe_the_image_brings_along_does_not_run(bench: Bench, api: Api) -> None:
    image = await busybox_image(api, ["HEALTHCHECK --interval=1s CMD echo probed > /probed"])
    _, output = await run(bench, "sleep 2.5; ls /probed", image=image)
    assert b"No such file" in output.data


async def test_the_exit_names_the_very_content_of_the_image(bench: Bench, api: Api) -> None:
    ended, _ = await run(bench, "true")
    image = await api.client.call("GET", f"images/{bench.spec().image}/json")
    assert ended.image_digest == image["Id"]


@pytest.mark.parametrize("name", ["a b/c:d", "../../etc", "x" * 300, "naïve", "a"])
async def test_any_name_can_be_that_of_an_attempt(bench: Bench, name: str) -> None:
    unique = f"{name}{hashlib.sha256(bench.host.encode()).hexdigest()[:8]}"
    container, output = await bench.start(bench.script("echo ok", name=unique))
    await within(container, 30.0)
    await container.remove()
    assert output.data == b"ok\n"
    assert await bench.rig.leftovers(bench.host) == []
