from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.adapters.docker.address import find_address
from runner.adapters.docker.api import Api
from runner.adapters.docker.client import Client
from tests.docker.proxy import Proxy, proxy
from tests.engines.rig_docker import DockerRig
from tests.engines.rigs import Bench


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[DockerRig]:
    rig = DockerRig(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
def host() -> str:
    return f"host-{secrets.token_hex(6)}"


@pytest.fixture
async def bench(rig: DockerRig, host: str) -> Bench:
    return Bench(rig, host, await rig.engine(host))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """The engine itself, beside whatever is tested."""
    client = Client(find_address(None, os.environ, Path.home()))
    yield Api(client)
    await client.close()


@pytest.fixture
async def faulty() -> AsyncIterator[Proxy]:
    async with proxy(find_address(None, os.environ, Path.home())) as made:
        yield made
