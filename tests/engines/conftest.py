from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.rigs import Bench, Rig, make_rig, rig_parameters


@pytest.fixture(params=rig_parameters())
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = make_rig(request.param, tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
async def bench(rig: Rig) -> Bench:
    host = f"host-{secrets.token_hex(6)}"
    return Bench(rig, host, await rig.engine(host))
