"""Replies say what time it is by the service's clock."""

from __future__ import annotations

import pytest

from runner.aws import date_of
from tests.simulation_services.table import EPOCH, OneTable


@pytest.mark.parametrize(("passed", "told"), [(0.0, 0.0), (0.999, 0.0), (1.0, 1.0), (3600.5, 3600.0)])
def test_it_is_told_in_whole_seconds_never_rounded_up(passed: float, told: float) -> None:
    table = OneTable()
    table.time += passed
    assert date_of(table.put({"pk": "P", "sk": "1"})) == EPOCH + told
