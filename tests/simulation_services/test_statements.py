"""Statements of PartiQL in one request: which are understood, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from runner.adapters.dynamodb.values import pack
from runner.aws import Reply
from tests.simulation_services.table import NAME, OneTable, Plain, invalid, key

Answers = Sequence[Mapping[str, Any]]
SHOWN = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
WHERE = 'WHERE "pk" = ? AND "sk" = ?'


def insert(item: Plain, **more: str) -> Plain:
    wire = pack(item)
    names = ", ".join(f"'{name}': ?" for name in wire)
    return {
        "Statement": f'INSERT INTO "{NAME}" VALUE {{{names}}}',
        "Parameters": list(wire.values()),
        **more,
    }


def update(changes: str, *values: Any, where: str = WHERE, **more: str) -> Plain:
    parameters = list(pack(dict(enumerate(values))).values())
    return {"Statement": f'UPDATE "{NAME}" {changes} {where}', "Parameters": parameters, **more}


def ask(table: OneTable, *statements: Plain) -> Reply:
    return table.service.answer("batch_execute_statement", {"Statements": statements})


def answers(table: OneTable, *statements: Plain) -> Answers:
    found: Answers = ask(table, *statements)["Responses"]
    return found


def code(answer: Mapping[str, Any]) -> str:
    return str(answer["Error"]["Code"])


def test_an_insert_puts_an_item_where_there_is_none(table: OneTable) -> None:
    assert answers(table, insert({**key(), "n": 1})) == [{"TableName": NAME}]
    assert table.get(key()) == {**key(), "n": 1}


def test_an_insert_of_what_is_there_is_refused_and_shows_nothing(table: OneTable) -> None:
    table.put({**key(), "n": 1})
    (answer,) = answers(table, insert(key(), **SHOWN))
    assert code(answer) == "DuplicateItem"
    assert "Item" not in answer["Error"]
    assert table.get(key()) == {**key(), "n": 1}


def test_an_update_sets_and_removes(table: OneTable) -> None:
    table.put({**key(), "a": 1, "b": 2, "c": 3})
    changes = 'SET "a" = ? SET "d" = ? REMOVE "b" REMOVE "x"'
    assert answers(table, update(changes, 5, "new", "P", "1")) == [{"TableName": NAME}]
    assert table.get(key()) == {**key(), "a": 5, "c": 3, "d": "new"}


def test_an_update_may_name_attributes_that_are_reserved_words(table: OneTable) -> None:
    table.put({**key(), "status": 1})
    answers(table, update('SET "status" = ?', 2, "P", "1"))
    assert table.get(key()) == {**key(), "status": 2}


def test_an_update_makes_no_item(table: OneTable) -> None:
    (answer,) = answers(table, update('SET "a" = ?', 5, "P", "1", **SHOWN))
    assert code(answer) == "ConditionalCheckFailed"
    assert "Item" not in answer["Error"]
    assert table.get(key()) is None


@pytest.mark.parametrize("shown", [{}, SHOWN])
def test_what_does_not_meet_the_condition_is_shown_if_that_is_asked_for(table: OneTable, shown: Any) -> None:
    table.put({**key(), "n": 1})
    (answer,) = answers(table, update('SET "a" = ?', 5, "P", "1", 2, where=WHERE + ' AND "n" = ?', **shown))
    assert code(answer) == "ConditionalCheckFailed"
    assert answer["Error"].get("Item") == (pack({**key(), "n": 1}) if shown else None)


def test_each_statement_is_carried_out_or_refused_by_itself(table: OneTable) -> None:
    table.put({**key("2"), "n": 1})
    told = answers(table, insert(key("1")), insert(key("2")), insert(key("3")))
    assert ["Error" in each for each in told] == [False, True, False]
    assert [table.get(key(sk)) is not None for sk in "123"] == [True] * 3


@pytest.mark.parametrize("count", [0, 26])
def test_a_request_has_one_statement_to_twenty_five(table: OneTable, count: int) -> None:
    assert "between 1 and 25" in invalid(ask, table, *(insert(key(str(at))) for at in range(count)))


def test_statements_about_one_item_are_refused_all_together(table: OneTable) -> None:
    assert "duplicates" in invalid(ask, table, insert(key()), insert(key("2")), insert(key()))
    assert table.get(key("2")) is None


def test_writes_of_one_item_cost_what_they_cost_otherwise(table: OneTable) -> None:
    answers(table, insert({**key(), "s": 1500 * "x"}), insert(key("2")))
    assert table.written == 3
    answers(table, update('SET "n" = ?', 1, "P", "1"))
    assert table.written == 5


def test_what_is_refused_is_paid_for(table: OneTable) -> None:
    answers(table, insert({**key(), "s": 1500 * "x"}))
    answers(table, insert(key()), update('SET "n" = ?', 1, "P", "2"))
    assert table.written == 2 + 2 + 1


def test_statements_are_throttled_each_by_itself() -> None:
    table = OneTable(throttles=True)
    for at in range(1000 // 100):
        table.put({**key(str(at)), "s": (100 * 1024 - 10) * "x"})
    told = answers(table, insert(key("new")), insert(key("new", pk="Q")))
    assert code(told[0]) == "ThrottlingError"
    assert "Error" not in told[1]


def test_a_statement_meets_a_transaction_by_itself() -> None:
    table = OneTable(committing=1.0)
    table.transact({"Put": {"TableName": NAME, "Item": pack(key())}})
    told = answers(table, insert(key()), insert(key("2")))
    assert code(told[0]) == "TransactionConflict"
    assert "Error" not in told[1]


def test_a_table_that_is_not_there_is_that_statements_affair(table: OneTable) -> None:
    other = {"Statement": "INSERT INTO \"other\" VALUE {'pk': ?}", "Parameters": [{"S": "P"}]}
    told = answers(table, other, insert(key()))
    assert code(told[0]) == "ResourceNotFound"
    assert "Error" not in told[1]


@pytest.mark.parametrize(
    "statement",
    [
        {"Statement": "nonsense"},
        {"Statement": f"INSERT INTO \"{NAME}\" VALUE {{'pk': ?, 'sk': 'x'}}", "Parameters": [{"S": "P"}]},
        insert({"pk": "P"}),
        {**insert(key()), "Parameters": [{"S": "P"}]},
        update('SET "a" = ?', 1, "P", where='WHERE "pk" = ?'),
        update('SET "sk" = ?', "2", "P", "1"),
        update('SET "a" = 1', "P", "1"),
        update('DROP "a"', "P", "1"),
        update('SET "a" = ? SET "a" = ?', 1, 2, "P", "1"),
    ],
)
def test_what_is_not_well_formed_is_refused_by_itself(table: OneTable, statement: Plain) -> None:
    table.put(key())
    told = answers(table, statement, insert(key("2")))
    assert code(told[0]) == "ValidationError"
    assert "Error" not in told[1]
