"""Replies about a running container get lost, or fail: its end is told all the same."""

from __future__ import annotations

import pytest

from tests.docker.proxy import Action, Fault, Proxy
from tests.engines.helpers import has_written, within
from tests.engines.rig_docker import DockerRig
from tests.engines.rigs import Bench

pytestmark = pytest.mark.docker

WAIT = r"POST .*/containers/[^/]+/wait"
INSPECT = r"GET .*/containers/[^/]+/json"


@pytest.fixture
async def bench(faulty: Proxy, rig: DockerRig, host: str) -> Bench:
    """An engine that is reached through the faulty proxy."""
    return Bench(rig, host, await rig.docker(host, docker_host=faulty.url))


@pytest.mark.parametrize("pattern", [WAIT, INSPECT])
@pytest.mark.parametrize("action", [Action.LOSE, Action.DENY])
async def test_a_broken_reply_about_its_end_does_not_throw_finished_work_away(
    bench: Bench, faulty: Proxy, pattern: str, action: Action
) -> None:
    faulty.faults.append(Fault(pattern, action))
    container, _ = await bench.start(bench.script("sleep 0.5; exit 5"))
    ended = await within(container, 30.0)
    await container.remove()
    assert (ended.vanished, ended.exit_code) == (False, 5)


async def test_an_engine_that_keeps_failing_to_wait_is_not_asked_without_pause(
    bench: Bench, faulty: Proxy
) -> None:
    faulty.faults.append(Fault(WAIT, Action.FAIL, times=100_000))
    container, output = await bench.start(bench.script("echo ready; sleep 1; exit 3"))
    await has_written(output, b"ready\n")
    ended = await within(container, 30.0)
    await container.remove()
    assert (ended.vanished, ended.exit_code) == (False, 3)
    assert faulty.count(WAIT) < 10
