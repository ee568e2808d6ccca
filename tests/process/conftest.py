from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.rig_process import ProcessRig
from tests.engines.rigs import Bench


@pytest.fixture
def host() -> str:
    """Nobody else's on this machine."""
    return f"host-{secrets.token_hex(4)}"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ProcessRig]:
    rig = ProcessRig(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
async def bench(rig: ProcessRig, host: str) -> Bench:
    return Bench(rig, host, await rig.engine(host))
