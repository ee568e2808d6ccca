"""What updates make of an item."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation_services.table import OneTable, invalid, key

BEFORE = {**key(), "s": "abc", "n": 5, "m": {"k": "v"}, "l": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("update", "values", "changed"),
    [
        ("SET #s = :v, #new = :w", {":v": "x", ":w": 1}, {"s": "x", "new": 1}),
        ("REMOVE #s, #nowhere", None, {"s": None}),
        ("SET #s = :v REMOVE #n", {":v": "x"}, {"s": "x", "n": None}),
        ("set #s = :v remove #n", {":v": "x"}, {"s": "x", "n": None}),
        ("SET #n = #n + :v", {":v": 0.5}, {"n": 5.5}),
        ("SET #n = :v - #n", {":v": 1}, {"n": -4}),
        ("SET #a = #n, #n = :v", {":v": 1}, {"a": 5, "n": 1}),  # all read what was there before
        ("SET #n = if_not_exists(#n, :v)", {":v": 1}, {"n": 5}),
        ("SET #a = if_not_exists(#a, :v) + :v", {":v": 1}, {"a": 2}),
        ("SET #l = list_append(#l, :v)", {":v": ["d"]}, {"l": ["a", "b", "c", "d"]}),
        ("SET #l = list_append(if_not_exists(#a, :v), #l)", {":v": []}, {"l": ["a", "b", "c"]}),
        ("SET #m.#k = :v, #m.#a = :v", {":v": 1}, {"m": {"k": 1, "a": 1}}),
        ("SET #l[1] = :v", {":v": 1}, {"l": ["a", 1, "c"]}),
        ("SET #l[9] = :v", {":v": 1}, {"l": ["a", "b", "c", 1]}),
        ("REMOVE #l[0], #l[2]", None, {"l": ["b"]}),
        ("REMOVE #m.#k", None, {"m": {}}),
        ("ADD #n :v, #a :v", {":v": 2}, {"n": 7, "a": 2}),
    ],
)
def test_what_an_update_leaves(
    table: OneTable, update: str, values: dict[str, Any] | None, changed: dict[str, Any]
) -> None:
    table.put(BEFORE)
    table.update(key(), update, values)
    after = {name: value for name, value in {**BEFORE, **changed}.items() if value is not None}
    assert table.get(key()) == after


@pytest.mark.parametrize(
    ("update", "values", "problem"),
    [
        ("SET #s = :v, #s = :v", {":v": 1}, "paths overlap"),
        ("SET #m = :v REMOVE #m.#k", {":v": 1}, "paths overlap"),
        ("SET #s = :v SET #n = :v", {":v": 1}, "can only be used once"),
        ("SET #s :v", {":v": 1}, "Syntax error"),
        ("SET #s = :v,", {":v": 1}, "Syntax error"),
        ("PUT #s = :v", {":v": 1}, "Syntax error"),
        ("SET #pk = :v", {":v": "x"}, "part of the key"),
        ("REMOVE #sk", None, "part of the key"),
        ("SET #s = #nowhere", None, "does not exist in the item"),
        ("SET #n = #nowhere + :v", {":v": 1}, "does not exist in the item"),
        ("SET #n = #s + :v", {":v": 1}, "incorrect data type"),
        ("SET #n = #n + :v", {":v": "x"}, "operand type: S"),
        ("SET #l = list_append(#l, :v)", {":v": "x"}, "operand type: S"),
        ("ADD #n :v", {":v": "x"}, "operand type: S"),
        ("ADD #s :v", {":v": 1}, "incorrect data type"),
        ("SET #nowhere.#k = :v", {":v": 1}, "document path"),
        ("SET #s[0] = :v", {":v": 1}, "document path"),
        ("SET #n = twice(#n)", None, "Invalid function name"),
    ],
)
def test_an_update_that_cannot_be_made_is_told_and_changes_nothing(
    table: OneTable, update: str, values: dict[str, Any] | None, problem: str
) -> None:
    table.put(BEFORE)
    assert problem in invalid(table.update, key(), update, values)
    assert table.get(key()) == BEFORE


def test_an_update_makes_an_item_where_there_is_none(table: OneTable) -> None:
    table.update(key(), "SET #n = :v", {":v": 1})
    assert table.get(key()) == {**key(), "n": 1}


def test_an_update_changes_no_item_that_was_read_before(table: OneTable) -> None:
    table.put(BEFORE)
    before = table.say("get_item", Key={"pk": {"S": "P"}, "sk": {"S": "1"}})["Item"]
    table.update(key(), "SET #m.#k = :v, #l[0] = :v", {":v": 1})
    assert (before["m"]["M"]["k"], before["l"]["L"][0]) == ({"S": "v"}, {"S": "a"})


def test_an_update_tells_what_was_before_or_after(table: OneTable) -> None:
    table.put({**key(), "n": 1})
    change = ("SET #n = #n + :v", {":v": 1})
    old = table.update(key(), *change, ReturnValues="ALL_OLD")["Attributes"]
    new = table.update(key(), *change, ReturnValues="ALL_NEW")["Attributes"]
    assert (old["n"], new["n"]) == ({"N": "1"}, {"N": "3"})


def test_sets_are_added_to_and_taken_from_until_nothing_is_left(table: OneTable) -> None:
    def change(verb: str, *members: str) -> object:
        reply = table.say(
            "update_item",
            Key={"pk": {"S": "P"}, "sk": {"S": "1"}},
            UpdateExpression=f"{verb} tags :v",
            ExpressionAttributeValues={":v": {"SS": list(members)}},
            ReturnValues="ALL_NEW",
        )
        return reply["Attributes"].get("tags")

    assert change("ADD", "b", "a") == {"SS": ["a", "b"]}
    assert change("ADD", "c", "a") == {"SS": ["a", "b", "c"]}
    assert change("DELETE", "b", "x") == {"SS": ["a", "c"]}
    assert change("DELETE", "a", "c") is None
