from __future__ import annotations

import pytest

from tests.simulation_services.table import OneTable


@pytest.fixture
def table() -> OneTable:
    return OneTable()
