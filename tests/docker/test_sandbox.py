"""Network sandboxes: ready ahead, never shared between jobs, replaced when they die."""

from __future__ import annotations

import asyncio

import pytest

from runner.adapters.docker import sandbox as sandboxes
from runner.adapters.docker.api import Api
from runner.adapters.docker.recovery import find
from tests.engines.helpers import has_written, run, within
from tests.engines.rig_docker import DockerRig, owner
from tests.engines.rigs import Bench, Capture

pytestmark = pytest.mark.docker

NETWORK = "readlink /proc/self/ns/net"


async def network_of(bench: Bench, job_id: str) -> bytes:
    _, output = await run(bench, NETWORK, job_id=job_id)
    return output.data


async def spares(bench: Bench, api: Api, count: int) -> list[str]:
    """Ids of the sandboxes there are, once there are so many."""
    found: list[str] = []
    for _ in range(200):
        listed = (await find(api, owner(bench))).sandboxes
        found = [each["Id"] for each in listed if each["State"] == "running"]
        if len(found) == count:
            break
        await asyncio.sleep(0.05)
    return found


async def test_tasks_of_one_job_share_a_network_one_after_the_other(bench: Bench) -> None:
    assert await network_of(bench, "a") == await network_of(bench, "a")


async def test_tasks_of_different_jobs_never_share_a_network(bench: Bench) -> None:
    networks = [await network_of(bench, job) for job in ("a", "b", "c")]
    assert len(set(networks)) == 3


async def test_tasks_that_run_at_once_never_share_a_network(bench: Bench) -> None:
    results = await asyncio.gather(*(run(bench, f"{NETWORK}; sleep 1") for _ in range(3)))
    assert len({output.data for _, output in results}) == 3


async def test_the_late_removal_of_a_task_gives_nobody_the_network_of_the_next_one(bench: Bench) -> None:
    first, _ = await bench.start(bench.script("true"))
    await within(first, 30.0)
    second, output = await bench.start(bench.script(f"{NETWORK}; sleep 60"))
    await has_written(output, b"]\n")
    await first.remove()
    assert await network_of(bench, "job") != output.data
    await second.remove()


async def test_the_late_removal_of_a_task_takes_no_network_from_the_next_one(bench: Bench) -> None:
    first, _ = await bench.start(bench.script("true"))
    await within(first, 30.0)
    script = f"ip -o link | wc -l; sleep {sandboxes.LINGER + 2:g}; ip -o link | wc -l"
    second, output = await bench.start(bench.script(script))
    await first.remove()
    await within(second, 30.0)
    await second.remove()
    assert output.data == b"2\n2\n"


async def test_a_task_is_not_in_the_hosts_network(bench: Bench) -> None:
    _, output = await run(bench, "ip -o link | wc -l; ip -o addr show dev eth0 | head -1")
    interfaces, _, address = output.data.partition(b"\n")
    assert int(interfaces) == 2
    assert b"inet " in address


async def test_spare_sandboxes_are_made_ahead_and_used(bench: Bench, api: Api) -> None:
    await bench.engine.prepare(bench.rig.job("a"), 2)
    ready = await spares(bench, api, 2)
    container, _ = await bench.start(bench.script("sleep 60", job_id="a"))
    details = await api.inspect(container.name)
    await container.remove()
    assert details["HostConfig"]["NetworkMode"].removeprefix("container:") in ready


async def test_no_more_are_kept_than_there_are_slots(bench: Bench, api: Api) -> None:
    await bench.engine.prepare(bench.rig.job("a"), 100)
    await spares(bench, api, 2)
    await asyncio.sleep(1.5)
    assert len(await spares(bench, api, 2)) == 2


async def test_sandboxes_of_a_job_that_runs_nothing_are_removed(
    bench: Bench, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandboxes, "LINGER", 0.2)
    await network_of(bench, "a")
    assert await spares(bench, api, 0) == []


async def test_a_sandbox_that_died_is_replaced(bench: Bench, api: Api) -> None:
    await network_of(bench, "a")
    for each in (await find(api, owner(bench))).sandboxes:
        await api.kill(each["Id"], "SIGKILL")
        await api.wait(each["Id"])
    ended, output = await run(bench, "echo alive", job_id="a")
    assert (ended.exit_code, output.data) == (0, b"alive\n")


async def test_a_sandbox_that_was_removed_is_replaced(bench: Bench, api: Api) -> None:
    await network_of(bench, "a")
    for each in (await find(api, owner(bench))).sandboxes:
        await api.remove(each["Id"])
    ended, output = await run(bench, "echo alive", job_id="a")
    assert (ended.exit_code, output.data) == (0, b"alive\n")


async def test_a_sandbox_is_of_nobodys_user_without_any_right(bench: Bench, api: Api) -> None:
    await network_of(bench, "a")
    [sandbox] = (await find(api, owner(bench))).sandboxes
    details = await api.inspect(sandbox["Id"])
    assert details["Config"]["User"] == "65534:65534"
    assert details["HostConfig"]["CapDrop"] == ["ALL"]
    assert details["HostConfig"]["ReadonlyRootfs"]


async def test_recovery_keeps_the_sandbox_of_what_it_adopts_and_removes_the_others(
    rig: DockerRig, bench: Bench, api: Api
) -> None:
    await bench.engine.prepare(rig.job("a"), 2)
    await spares(bench, api, 2)
    container, output = await bench.start(bench.script("echo ready; sleep 60", job_id="a"))
    await has_written(output, b"ready\n")
    await rig.crash(bench.engine)
    again = Bench(rig, bench.host, await rig.engine(bench.host))
    [adopted] = await again.engine.recover(bench.host, lambda _: Capture())
    [kept] = (await find(api, owner(bench))).sandboxes
    assert (await api.inspect(container.name))["HostConfig"]["NetworkMode"] == f"container:{kept['Id']}"
    await adopted.remove()


async def test_an_adopted_tasks_sandbox_serves_its_job_again_but_no_other(
    rig: DockerRig, bench: Bench
) -> None:
    _, output = await bench.start(bench.script(f"{NETWORK}; sleep 60", job_id="a"))
    await has_written(output, b"net:")
    await rig.crash(bench.engine)
    again = Bench(rig, bench.host, await rig.engine(bench.host))
    [adopted] = await again.engine.recover(bench.host, lambda _: Capture())
    at_once = await network_of(again, "a")
    await adopted.stop(1.0)
    await within(adopted, 10.0)
    await adopted.remove()
    assert at_once != output.data
    assert await network_of(again, "b") != output.data
    assert output.data in (await network_of(again, "a"), await network_of(again, "a"))
