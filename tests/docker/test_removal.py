"""Removal is never given up, and nothing of a task starts beside what is still to be removed of it."""

from __future__ import annotations

import asyncio

import pytest

from controller.simulation import clock as virtual_time
from runner.adapters.docker.address import Address
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import Client, NoAnswerError
from runner.adapters.docker.removal import LONGEST_PAUSE, Remover
from runner.adapters.docker.spec import shard
from tests.docker.proxy import Action, Fault, Proxy
from tests.engines.helpers import has_written
from tests.engines.rig_docker import DockerRig
from tests.engines.rigs import Bench

DAY = 86_400.0


class AwayUntil(Api):
    """An engine that answers only from some time of the loop's on."""

    def __init__(self, when: float) -> None:
        super().__init__(Client(Address("unix:///nowhere")))
        self._when = when
        self.removed_at: dict[str, float] = {}

    async def remove(self, container: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._when:
            raise NoAnswerError
        self.removed_at[container] = now
        return True


def test_an_attempt_is_removed_soon_after_the_engine_is_back_however_long_it_was_away() -> None:
    async def scenario() -> AwayUntil:
        api = AwayUntil(DAY)
        remover = Remover(api)
        assert not await remover.remove("sidecar", "task", shard="job/1")
        assert await remover.none_left("job/1", 2 * DAY)
        return api

    api = virtual_time.run(scenario())
    assert list(api.removed_at) == ["sidecar", "task"]
    assert max(api.removed_at.values()) <= DAY + 2 * LONGEST_PAUSE


def test_who_waits_for_a_removal_waits_for_that_tasks_alone_and_not_for_ever() -> None:
    async def scenario() -> tuple[bool, bool]:
        remover = Remover(AwayUntil(DAY))
        remover.later("task", shard="job/1")
        answers = await remover.none_left("job/2", 1.0), await remover.none_left("job/1", 60.0)
        await remover.close(0.0)
        return answers

    assert virtual_time.run(scenario()) == (True, False)


def test_a_task_is_known_by_its_job_and_index() -> None:
    assert len({shard("a", 1), shard("a", 2), shard("b", 1)}) == 3


@pytest.fixture
async def bench(faulty: Proxy, rig: DockerRig, host: str) -> Bench:
    return Bench(rig, host, await rig.docker(host, docker_host=faulty.url))


async def asked_for(faulty: Proxy, pattern: str) -> None:
    async with asyncio.timeout(10.0):
        while not faulty.count(pattern):
            await asyncio.sleep(0.01)


@pytest.mark.docker
async def test_a_task_never_starts_beside_an_attempt_of_it_that_cannot_be_removed_yet(
    bench: Bench, faulty: Proxy, api: Api
) -> None:
    first, output = await bench.start(bench.script("echo ready; sleep 60", index=7))
    await has_written(output, b"ready\n")
    faulty.faults.append(Fault(r"DELETE .*/containers/", Action.FAIL, times=4))
    removing = asyncio.create_task(first.remove())
    await asked_for(faulty, "DELETE")
    second, _ = await bench.start(bench.script("sleep 60", index=7))
    assert await api.find(first.name) is None
    await removing
    await second.remove()


@pytest.mark.docker
async def test_what_a_predecessor_left_is_waited_for_too(
    rig: DockerRig, bench: Bench, faulty: Proxy, api: Api
) -> None:
    first, output = await bench.start(bench.script("echo ready; sleep 60", index=7))
    await has_written(output, b"ready\n")
    await rig.crash(bench.engine)
    again = Bench(rig, bench.host, await rig.docker(bench.host, docker_host=faulty.url))
    faulty.faults.append(Fault(r"DELETE .*/containers/", Action.FAIL, times=8))
    recovering = asyncio.create_task(again.engine.recover(bench.host, lambda _: None))
    await asked_for(faulty, "DELETE")
    second, _ = await again.start(again.script("sleep 60", index=7))
    assert await api.find(first.name) is None
    await recovering
    await second.remove()
