"""What requests consume, and what partitions refuse."""

from __future__ import annotations

from typing import Any

import pytest

from runner.aws import Trouble
from tests.simulation_services.table import (
    CONDITION,
    OneTable,
    action,
    invalid,
    key,
    refusal,
)

THROTTLED = "ThrottlingException"


def sized(kilobytes: float, sk: str = "1") -> dict[str, Any]:
    """An item of that size."""
    return {**key(sk), "x": "x" * (round(kilobytes * 1024) - len("pk" + "P" + "sk" + sk + "x"))}


def writes(table: OneTable, act: Any, *given: Any, **more: Any) -> float:
    before = table.written
    act(*given, **more)
    return table.written - before


def reads(table: OneTable, act: Any, *given: Any, **more: Any) -> float:
    before = table.read
    act(*given, **more)
    return table.read - before


@pytest.mark.parametrize(("kilobytes", "units"), [(0.5, 1), (1, 1), (1.001, 2), (350, 350)])
def test_a_write_takes_a_unit_for_each_kb_begun(table: OneTable, kilobytes: float, units: int) -> None:
    assert writes(table, table.put, sized(kilobytes)) == units


def test_a_write_takes_the_larger_of_the_item_before_and_after(table: OneTable) -> None:
    assert writes(table, table.put, sized(3)) == 3
    assert writes(table, table.put, sized(1)) == 3
    assert writes(table, table.update, key(), "SET #y = :v", {":v": 2000 * "y"}) == 3
    assert writes(table, table.update, key(), "REMOVE #x, #y") == 3
    table.put(sized(4))
    assert writes(table, table.delete, key()) == 4
    assert writes(table, table.delete, key()) == 1


def test_a_condition_that_is_not_met_takes_as_much(table: OneTable) -> None:
    table.put(sized(3))
    unmet = "attribute_not_exists(#pk)"
    assert writes(table, refusal, CONDITION, table.put, sized(1), unmet) == 3
    assert writes(table, refusal, CONDITION, table.put, sized(5), unmet) == 5
    assert writes(table, refusal, CONDITION, table.delete, key("2"), "attribute_exists(#pk)") == 1


def test_what_is_not_valid_takes_nothing(table: OneTable) -> None:
    table.put(key())
    assert writes(table, invalid, table.put, key(), "#a") == 0
    assert writes(table, invalid, table.update, key(), "SET #a = #nowhere") == 0


def test_a_transaction_takes_twice_as_much_for_each_item(table: OneTable) -> None:
    table.put(key("checked"))
    actions = (
        action("Put", Item=sized(1.5)),
        action("Put", Item=sized(0.5, "2")),
        action("ConditionCheck", None, "attribute_exists(#pk)", Key=key("checked")),
    )
    assert writes(table, table.transact, *actions, token="a-token") == 4 + 2 + 2


def test_a_transaction_asked_for_again_takes_units_of_reading(table: OneTable) -> None:
    put = action("Put", Item=sized(5))
    table.transact(put, token="a-token")
    before = table.written
    assert reads(table, table.transact, put, token="a-token") == 4
    assert table.written == before


@pytest.mark.parametrize(("kilobytes", "units"), [(0.5, 1), (4, 1), (4.001, 2)])
def test_a_read_takes_a_unit_for_4_kb_begun_and_half_as_much_if_it_may_be_late(
    table: OneTable, kilobytes: float, units: int
) -> None:
    table.put(sized(kilobytes))
    assert reads(table, table.get, key()) == units
    assert reads(table, table.get, key(), consistent=False) == units / 2


def test_reading_what_is_not_there_takes_a_unit(table: OneTable) -> None:
    assert reads(table, table.get, key()) == 1
    assert reads(table, table.query) == 1
    assert reads(table, table.query, ConsistentRead=False) == 0.5
    assert reads(table, table.batch, [key("1"), key("2")]) == 2


def test_a_query_adds_up_sizes_first_and_a_batch_rounds_each(table: OneTable) -> None:
    for sk in "1234":
        table.put(sized(1, sk))
    assert reads(table, table.query) == 1
    assert reads(table, table.batch, [key(sk) for sk in "1234"]) == 4


def test_units_are_counted_by_operation(table: OneTable) -> None:
    table.put(key())
    table.get(key())
    table.transact(action("Delete", Key=key()))
    assert table.service.meter.writes == {"put_item": 1, "transact_write_items": 2}
    assert table.service.meter.reads == {"get_item": 1}


def test_a_collection_takes_a_thousand_units_of_writing_a_second() -> None:
    table = OneTable(throttles=True)
    for _ in range(1000):
        table.put(key())
    error = refusal(THROTTLED, table.put, key())
    assert error.trouble is Trouble.THROTTLED
    assert error.details["throttlingReasons"][0]["reason"] == "TableWriteKeyRangeThroughputExceeded"
    table.put(key(pk="Q"))
    table.time += 0.5
    for _ in range(500):
        table.put(key())
    refusal(THROTTLED, table.put, key())


def test_conditions_that_are_not_met_use_up_what_a_collection_may_take() -> None:
    table = OneTable(throttles=True)
    for _ in range(1000):
        refusal(CONDITION, table.put, key(), "attribute_exists(#pk)")
    refusal(THROTTLED, table.put, key())
    assert table.get(key()) is None


def test_nothing_is_refused_where_nobody_asked_for_it(table: OneTable) -> None:
    for _ in range(5000):
        table.put(key())
    assert table.written == 5000


def test_a_throttled_transaction_is_cancelled_and_says_why() -> None:
    table = OneTable(throttles=True)
    table.put(sized(399))
    large = [action("Put", Item=sized(390, "2")), action("Put", Item={**key(pk="Q"), "n": 1})]
    error = refusal("TransactionCanceledException", table.transact, *large)
    codes = [each["Code"] for each in error.details["CancellationReasons"]]
    assert codes == ["ThrottlingError", "None"]
    assert table.get(key(pk="Q")) is None


def test_a_throttled_batch_leaves_keys_unread_and_only_one_that_reads_nothing_fails() -> None:
    table = OneTable(throttles=True)
    table.put(sized(300))
    table.put(key(pk="Q"))
    for _ in range(40):
        table.get(key())
    assert table.batch([key(), key(pk="Q")]) == ([key(pk="Q")], [key()])
    refusal(THROTTLED, table.batch, [key()])
    table.time += 1
    assert table.batch([key()])[1] == []
