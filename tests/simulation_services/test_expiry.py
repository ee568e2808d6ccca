"""Time to live."""

from __future__ import annotations

import pytest

from tests.simulation_services.table import DAY, EPOCH, OneTable, key


def enable(table: OneTable, enabled: bool = True) -> None:
    given = {"AttributeName": "expires", "Enabled": enabled}
    table.say("update_time_to_live", TimeToLiveSpecification=given)


def test_what_is_told_of_it(table: OneTable) -> None:
    assert table.say("describe_time_to_live")["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    enable(table)
    told = {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    assert table.say("describe_time_to_live")["TimeToLiveDescription"] == told


def test_an_item_whose_time_is_over_goes_within_days_and_at_no_cost(table: OneTable) -> None:
    enable(table)
    table.put({**key(), "expires": int(EPOCH + 60)})
    written = table.written
    table.time += 61
    assert table.get(key()) is not None
    table.time += 2 * DAY
    assert table.get(key()) is None
    assert table.written == written


@pytest.mark.parametrize("expires", [EPOCH + 90 * DAY, EPOCH - 6 * 365 * DAY, str(EPOCH), None])
def test_an_item_whose_time_is_not_over_or_no_time_stays(table: OneTable, expires: object) -> None:
    enable(table)
    table.put({**key(), "expires": expires})
    table.time += 2 * DAY
    assert table.get(key()) is not None


def test_nothing_goes_where_it_is_not_enabled(table: OneTable) -> None:
    enable(table)
    enable(table, False)
    table.put({**key(), "expires": int(EPOCH)})
    table.time += 2 * DAY
    assert table.get(key()) is not None
