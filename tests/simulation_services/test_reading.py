"""Pages, batches, and reads that are late."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation_services.table import OneTable, invalid, key, refusal


@pytest.fixture
def filled(table: OneTable) -> OneTable:
    for sk in ("b", "a1", "é", "a", "Z"):
        table.put({**key(sk), "n": len(sk)})
    table.put(key("b", pk="Q"))
    return table


@pytest.mark.parametrize(
    ("condition", "values", "found"),
    [
        ("pk = :pk", None, ["Z", "a", "a1", "b", "é"]),
        ("pk = :pk AND sk > :v", {":v": "a"}, ["a1", "b", "é"]),
        ("pk = :pk AND sk >= :v", {":v": "a"}, ["a", "a1", "b", "é"]),
        ("pk = :pk AND sk < :v", {":v": "a"}, ["Z"]),
        ("pk = :pk AND sk <= :v", {":v": "a"}, ["Z", "a"]),
        ("sk = :v AND pk = :pk", {":v": "a"}, ["a"]),
        (":v < sk AND :pk = pk", {":v": "a1"}, ["b", "é"]),
        ("pk = :pk AND sk = :v", {":v": "c"}, []),
        ("pk = :pk AND begins_with(sk, :v)", {":v": "a"}, ["a", "a1"]),
        ("pk = :pk AND sk BETWEEN :v AND :w", {":v": "a", ":w": "b"}, ["a", "a1", "b"]),
        ("pk = :pk AND sk BETWEEN :v AND :w", {":v": "b", ":w": "a"}, []),
    ],
)
def test_a_query_finds_items_in_the_order_of_their_sort_keys(
    filled: OneTable, condition: str, values: dict[str, Any] | None, found: list[str]
) -> None:
    assert filled.sort_keys(condition, values) == found
    assert filled.sort_keys(condition, values, ScanIndexForward=False) == found[::-1]


@pytest.mark.parametrize(
    ("condition", "values", "problem"),
    [
        ("sk = :pk", None, "missed key schema element: pk"),
        ("pk > :pk", None, "not supported"),
        ("pk = :pk AND #n = :v", {":v": 1}, "missed key schema element: sk"),
        ("pk = :pk AND sk > :v AND sk < :w", {":v": "a", ":w": "b"}, "only contain one condition per key"),
        ("pk = :pk OR sk = :v", {":v": "a"}, "Invalid operator"),
        ("pk = :pk AND sk <> :v", {":v": "a"}, "Invalid operator"),
        ("pk = :pk AND sk = :v", {":v": 1}, "does not match schema type"),
    ],
)
def test_a_query_that_keys_cannot_answer_is_refused(
    filled: OneTable, condition: str, values: dict[str, Any] | None, problem: str
) -> None:
    assert problem in invalid(filled.query, condition, values)


def test_a_query_needs_keys_and_room_for_an_item(filled: OneTable) -> None:
    assert "must be specified" in invalid(filled.say, "query")
    refusal("ParamValidation", filled.query, Limit=0)


@pytest.mark.parametrize("backwards", [False, True])
def test_pages_fit_together(filled: OneTable, backwards: bool) -> None:
    found: list[str] = []
    start: dict[str, Any] = {}
    for _ in range(3):
        reply = filled.query(Limit=2, ScanIndexForward=not backwards, **start)
        found += [item["sk"]["S"] for item in reply["Items"]]
        start = {"ExclusiveStartKey": reply.get("LastEvaluatedKey")}
    assert "LastEvaluatedKey" not in reply
    assert found == filled.sort_keys(ScanIndexForward=not backwards)


def test_a_page_that_is_full_says_so_even_if_nothing_follows(filled: OneTable) -> None:
    assert filled.query(Limit=5)["LastEvaluatedKey"] == {"pk": {"S": "P"}, "sk": {"S": "é"}}
    assert "LastEvaluatedKey" not in filled.query(Limit=6)


def test_a_page_goes_on_behind_an_item_that_is_gone(filled: OneTable) -> None:
    start = filled.query(Limit=2)["LastEvaluatedKey"]
    filled.delete(key("a"))
    assert filled.sort_keys(ExclusiveStartKey=start) == ["a1", "b", "é"]


def test_a_page_does_not_start_outside_of_the_query(filled: OneTable) -> None:
    start = {"pk": {"S": "Q"}, "sk": {"S": "b"}}
    assert "outside query boundaries" in invalid(filled.query, ExclusiveStartKey=start)


def test_a_page_has_1_mb_at_most(table: OneTable) -> None:
    for number in range(4):
        table.put({**key(str(number)), "x": 300 * 1024 * "x"})
    first = table.query()
    assert (first["Count"], first["LastEvaluatedKey"]["sk"]) == (3, {"S": "2"})
    assert table.sort_keys(ExclusiveStartKey=first["LastEvaluatedKey"]) == ["3"]


def test_a_filter_leaves_out_what_was_read_and_paid_for(filled: OneTable) -> None:
    reply = filled.say(
        "query",
        KeyConditionExpression="pk = :pk",
        FilterExpression="n > :n",
        ExpressionAttributeValues={":pk": {"S": "P"}, ":n": {"N": "1"}},
        Limit=3,
    )
    assert (reply["Count"], reply["ScannedCount"]) == (1, 3)
    assert reply["LastEvaluatedKey"]["sk"] == {"S": "a1"}


def test_a_scan_finds_everything_page_by_page(filled: OneTable) -> None:
    found: list[str] = []
    reply = filled.say("scan", Limit=4)
    found += [item["sk"]["S"] for item in reply["Items"]]
    reply = filled.say("scan", Limit=4, ExclusiveStartKey=reply["LastEvaluatedKey"])
    found += [item["sk"]["S"] for item in reply["Items"]]
    assert sorted(found) == ["Z", "a", "a1", "b", "b", "é"]


def test_a_batch_finds_what_there_is_in_another_order(filled: OneTable) -> None:
    found, unread = filled.batch([key("a"), key("nowhere"), key("b")])
    assert ([item["sk"] for item in found], unread) == (["b", "a"], [])


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ([key("a"), key("a")], "duplicates"),
        ([], "Too many"),
        ([key(str(n)) for n in range(101)], "Too many"),
    ],
)
def test_a_batch_that_is_not_well_made_is_refused(
    table: OneTable, keys: list[dict[str, Any]], problem: str
) -> None:
    assert problem in invalid(table.batch, keys)


def test_a_batch_leaves_unread_what_would_be_more_than_16_mb(table: OneTable) -> None:
    keys = [key(str(number)) for number in range(50)]
    for each in keys:
        table.put({**each, "x": 399 * 1024 * "x"})
    found, unread = table.batch(keys)
    assert len(found) + len(unread) == 50
    assert 0 < len(unread) < 10


def test_a_batch_may_be_read_in_part_but_never_not_at_all(table: OneTable) -> None:
    table.service.behaviour.unread = 0.5
    keys = [key(str(number)) for number in range(10)]
    left = [len(table.batch(keys)[1]) for _ in range(200)]
    assert 60 < sum(count > 0 for count in left) < 120
    assert max(left) < 10


def test_only_consistent_reads_are_never_late() -> None:
    table = OneTable(lag=1.0)
    table.put({**key(), "n": 1})
    table.time += 60
    table.put({**key(), "n": 2})
    table.time += 0.5
    late = {(table.get(key(), consistent=False) or {})["n"] for _ in range(50)}
    now = {(table.get(key()) or {})["n"] for _ in range(50)}
    assert (late, now) == ({1, 2}, {2})


def test_what_was_just_made_or_deleted_may_be_missed_by_late_reads() -> None:
    table = OneTable(lag=1.0)
    table.put(key("deleted"))
    table.time += 60
    table.delete(key("deleted"))
    table.put(key("made"))
    seen = {tuple(table.sort_keys(ConsistentRead=False)) for _ in range(50)}
    assert seen == {("deleted",)}
    table.time += 0.5
    seen = {tuple(table.sort_keys(ConsistentRead=False)) for _ in range(50)}
    assert seen == {("deleted",), ("made",)}
    assert {len(table.batch([key("made")], consistent=False)[0]) for _ in range(50)} == {0, 1}


def test_a_late_query_goes_back_over_all_that_happened_since() -> None:
    table = OneTable(lag=1.0)
    table.put({**key(), "n": 1})
    table.time += 60
    for number in (2, 3):
        table.put({**key(), "n": number})
    assert {table.query(ConsistentRead=False)["Items"][0]["n"]["N"] for _ in range(50)} == {"1"}


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.one_of(st.none(), st.integers(0, 100))), max_size=20),
    st.integers(0, 2**32),
)
def test_a_late_read_tells_what_was_true_within_the_lag(
    writes: list[tuple[float, int | None]], seed: int
) -> None:
    table = OneTable(seed, lag=1.0)
    history: list[tuple[float, int | None]] = [(table.time - 100.0, None)]
    for pause, value in writes:
        table.time += pause
        if value is None:
            table.delete(key())
        else:
            table.put({**key(), "n": value})
        history.append((table.time, value))
    ends = [*(at for at, _ in history[1:]), table.time + 1]
    possible = {value for (_, value), end in zip(history, ends, strict=True) if end >= table.time - 1.0}
    got, queried = table.get(key(), consistent=False), table.query(ConsistentRead=False)["Items"]
    assert (got["n"] if got else None) in possible
    assert (int(queried[0]["n"]["N"]) if queried else None) in possible


def test_chance_is_the_seeds() -> None:
    def play(seed: int) -> list[object]:
        table = OneTable(seed, lag=1.0, unread=0.3)
        said: list[object] = []
        for number in range(50):
            table.time += 0.1
            table.put({**key(str(number % 5)), "n": number})
            said.append(table.get(key("0"), consistent=False))
            said.append(table.batch([key(str(each)) for each in range(5)], consistent=False))
        return said

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_items_that_nobody_sees_any_more_leave_nothing_behind(table: OneTable) -> None:
    table.put(key())
    table.delete(key())
    assert table.say("scan")["Items"] == []
    refusal("ConditionalCheckFailedException", table.delete, key(), "attribute_exists(#pk)")
