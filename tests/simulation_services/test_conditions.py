"""Which conditions an item meets. Several of these were measured at the service by others, not documented."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation_services.table import CONDITION, OneTable, invalid, key, refusal

ITEM = {**key(), "s": "abc", "n": 5, "flag": True, "m": {"k": "v", "n": 10}, "l": ["a", 2]}


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("#s = :v", {":v": "abc"}),
        ("#n = :v", {":v": 5.0}),
        ("#m = :v", {":v": {"n": 10, "k": "v"}}),
        ("#n < :v", {":v": 10}),  # as numbers, not as text
        ("#n > :v", {":v": -10}),
        ("#s >= :v", {":v": "ab"}),
        (":v < #n", {":v": 4}),
        ("#n BETWEEN :a AND :b", {":a": 5, ":b": 6}),
        ("#s IN (:a, :b)", {":a": "x", ":b": "abc"}),
        ("attribute_exists(#m.#k)", None),
        ("attribute_not_exists(#m.#s)", None),
        ("attribute_not_exists(#l[2])", None),
        ("attribute_type(#m, :v)", {":v": "M"}),
        ("begins_with(#s, :v)", {":v": "ab"}),
        ("contains(#s, :v)", {":v": "bc"}),
        ("contains(#l, :v)", {":v": 2}),
        ("size(#s) = :v AND size(#l) = :w", {":v": 3, ":w": 2}),
        ("#m.#k = :v", {":v": "v"}),
        ("#l[1] = :v", {":v": 2}),
        ("#nowhere <> :v", {":v": "what is missing differs from everything"}),
        ("#nowhere <> #neither", None),
        ("NOT #nowhere = #neither", None),
        ("NOT #s = :v AND #n = :w", {":v": "x", ":w": 5}),  # NOT before AND
        ("#n = :w OR #s = :v AND #s = :v", {":v": "x", ":w": 5}),  # AND before OR
        ("not #s = :v and (#n = :v or #n = :w)", {":v": "x", ":w": 5}),
    ],
)
def test_a_condition_that_is_met(table: OneTable, condition: str, values: dict[str, Any] | None) -> None:
    table.put(ITEM)
    table.delete(key(), condition, values)
    assert table.get(key()) is None


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("#s = :v", {":v": "abd"}),
        ("#n = :v", {":v": "5"}),
        ("#n < :v", {":v": "9"}),
        ("#nowhere < :v", {":v": 9}),
        ("#nowhere = #neither", None),
        ("#s > #n", None),
        ("#flag < #flag2", None),
        ("begins_with(#n, :v)", {":v": "5"}),
        ("begins_with(#nowhere, :v)", {":v": ""}),
        ("contains(#nowhere, :v)", {":v": "a"}),
        ("size(#nowhere) < :v", {":v": 1}),
        ("#nowhere.#k[0] = :v", {":v": 1}),
        ("begins_with(#s, :v)", {":v": "abcd"}),
        ("contains(#l, :v)", {":v": "2"}),
        ("contains(#n, :v)", {":v": 5}),
        ("size(#n) > :v", {":v": 0}),
        ("attribute_exists(#s.#k)", None),
        ("(#n = :w OR #s = :v) AND #s = :v", {":v": "x", ":w": 5}),
        ("NOT (#s = :v OR #n = :w)", {":v": "x", ":w": 5}),
    ],
)
def test_a_condition_that_is_not_met(table: OneTable, condition: str, values: dict[str, Any] | None) -> None:
    table.put(ITEM)
    refusal(CONDITION, table.delete, key(), condition, values)


@pytest.mark.parametrize(
    ("condition", "values", "problem"),
    [
        ("#s", None, "Syntax error"),
        ("#s = ", None, "<EOF>"),
        ("#s = :v)", {":v": 1}, "Syntax error"),
        ("#s == :v", {":v": 1}, "Syntax error"),
        ("#s = 'text'", None, "Syntax error"),
        ("(#s = :v", {":v": 1}, "Syntax error"),
        ("#l[x] = :v", {":v": 1}, "Syntax error"),
        ("#s = :v", None, "not defined; attribute value: :v"),
        ("#s = :v", {":v": 1, ":w": 1}, "unused in expressions: keys: {:w}"),
        ("status = :v", {":v": 1}, "reserved keyword: status"),
        ("#s = #s", None, "must be distinct"),
        ("#s < :v", {":v": True}, "operand type: BOOL"),
        ("#s BETWEEN :v AND :w", {":v": [], ":w": 1}, "operand type: L"),
        ("begins_with(#s, :v)", {":v": 1}, "operand type: N"),
        ("exists(#s)", None, "Invalid function name; function: exists"),
        ("#s = :v AND " * 400 + "#s = :v", {":v": 1}, "maximum allowed size"),
        ("#s IN (" + ", ".join([":v"] * 101) + ")", {":v": 1}, "too many operands"),
        ("begins_with(#s, #n) AND :v", {":v": 1}, "Syntax error"),
        (" ", None, "can not be empty"),
    ],
)
def test_a_condition_that_is_none_is_told(
    table: OneTable, condition: str, values: dict[str, Any] | None, problem: str
) -> None:
    assert problem in invalid(table.put, ITEM, condition, values)


def test_names_that_stand_for_nothing_or_are_not_used_are_told(table: OneTable) -> None:
    item = {name: {"S": "P"} for name in ("pk", "sk")}
    texts = {"ConditionExpression": "attribute_exists(#a)"}
    undefined = invalid(table.say, "put_item", Item=item, **texts)
    unused = {"#a": "a", "#b": "b"}
    assert "not defined; attribute name: #a" in undefined
    assert "{#b}" in invalid(table.say, "put_item", Item=item, ExpressionAttributeNames=unused, **texts)
    assert "can only be specified when" in invalid(
        table.say, "put_item", Item=item, ExpressionAttributeNames=unused
    )


@pytest.mark.parametrize(
    "given",
    [
        {"ExpressionAttributeValues": {}},
        {"ExpressionAttributeNames": {}},
        {"ExpressionAttributeNames": {"a": "a"}},
        {"ExpressionAttributeValues": {":a-b": {"S": ""}}},
    ],
)
def test_placeholders_must_be_some_and_well_named(table: OneTable, given: dict[str, Any]) -> None:
    item = {name: {"S": "P"} for name in ("pk", "sk")}
    said = invalid(table.say, "put_item", Item=item, ConditionExpression="attribute_exists(pk)", **given)
    assert "ExpressionAttribute" in said


def test_a_refused_condition_tells_what_was_found_if_asked(table: OneTable) -> None:
    table.put(ITEM)
    asked = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    told = refusal(CONDITION, table.put, ITEM, "attribute_not_exists(#pk)", **asked).details
    assert told["Item"]["n"] == {"N": "5"}
    assert refusal(CONDITION, table.put, ITEM, "attribute_not_exists(#pk)").details == {}
    assert refusal(CONDITION, table.put, key("2"), "attribute_exists(#pk)", **asked).details == {}


def test_a_refused_condition_changes_nothing(table: OneTable) -> None:
    table.put(ITEM)
    refusal(CONDITION, table.put, key(), "attribute_not_exists(#pk)")
    refusal(CONDITION, table.delete, key(), "attribute_not_exists(#pk)")
    refusal(CONDITION, table.update, key(), "REMOVE #s", condition="attribute_not_exists(#pk)")
    assert table.get(key()) == ITEM
