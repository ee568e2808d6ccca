from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.ports import Records
from runner.ports import Ledger, Queue
from tests.contracts.rigs import RIGS, Rig, make_rig


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = await make_rig(request.param, tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
def ledger(rig: Rig) -> Ledger:
    return rig.ledger()


@pytest.fixture
def records(rig: Rig) -> Records:
    return rig.records()


@pytest.fixture
def queue(rig: Rig) -> Queue:
    return rig.queue({"default": 0})
