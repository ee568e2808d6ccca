"""Disk space back from an engine of our own: the machine's has images that are not ours to remove."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.adapters.docker import pause
from runner.adapters.docker.engine import DockerEngine
from tests.docker.private_engine import PrivateEngine, missing
from tests.engines.helpers import within
from tests.engines.rig_docker import DockerRig
from tests.engines.rigs import Bench
from tests.images import busybox_image

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(bool(missing()), reason=f"starts an engine of its own: {missing()}"),
]


@pytest.fixture
async def bench(tmp_path: Path, host: str) -> AsyncIterator[Bench]:
    private = PrivateEngine()
    await private.start()
    rig = DockerRig(tmp_path)
    yield Bench(rig, host, await rig.docker(host, docker_host=private.url))
    for engine in rig.engines:
        await engine.close()
    await private.close()


async def names(engine: DockerEngine) -> set[str]:
    site = await engine.connected()
    return {name for image in await site.api.images() for name in image["RepoTags"] or ()}


async def test_images_that_nothing_uses_are_removed_and_others_are_not(bench: Bench) -> None:
    engine = bench.engine
    assert isinstance(engine, DockerEngine)
    site = await engine.connected()
    running = bench.spec("sleep", "60").image
    idle = await busybox_image(site.api, ["ENV A=1"])
    await site.api.client.call("POST", f"images/{idle}/tag", query={"repo": "another", "tag": "name"})
    about_to_run = await busybox_image(site.api, ["ENV A=2"])
    await site.images.ensure(about_to_run)
    container, _ = await bench.start(bench.spec("sleep", "60"))

    await engine.reclaim()

    left = await names(engine)
    assert {running, about_to_run} <= left
    assert not left & {idle, "another:name"}
    assert any(name.startswith(pause.REPOSITORY) for name in left)
    await container.stop(0)
    await within(container, 10)
