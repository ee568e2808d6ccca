from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.rig_process import ProcessRig
from tests.engines.rigs import Bench


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ProcessRig]:
    rig = ProcessRig(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
async def bench(rig: ProcessRig) -> Bench:
    return Bench(rig, "here", await rig.engine("here"))
