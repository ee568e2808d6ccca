"""What an item may be, how large it is, and how its numbers are spelled."""

from __future__ import annotations

from typing import Any

import pytest

from controller.simulation.services.dynamodb import DynamoDb
from controller.simulation.services.dynamodb.values import taken
from runner.aws import AwsError, Trouble
from tests.simulation_services.table import CONDITION, EPOCH, NAME, OneTable, action, invalid, key, refusal

LARGEST = 400 * 1024


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"pk": {"S": "P"}}, "Missing the key sk"),
        ({"pk": {"S": "P"}, "sk": {"N": "1"}}, "Type mismatch for key sk expected: S actual: N"),
        ({"pk": {"S": ""}, "sk": {"S": "1"}}, "empty string value. Key: pk"),
        ({"pk": {"S": 2049 * "x"}, "sk": {"S": "1"}}, "hashkey has exceeded the maximum size limit of 2048"),
        ({"pk": {"S": "P"}, "sk": {"S": 513 * "é"}}, "rangekey has exceeded the maximum size limit of 1024"),
    ],
)
def test_an_item_without_a_proper_key_is_refused(table: OneTable, item: dict[str, Any], problem: str) -> None:
    assert problem in invalid(table.say, "put_item", Item=item)


@pytest.mark.parametrize(
    "given",
    [{"pk": {"S": "P"}}, {"pk": {"S": "P"}, "sk": {"N": "1"}}, {"pk": {"S": "P"}, "x": {"S": "1"}}],
)
def test_a_key_must_be_the_tables(table: OneTable, given: dict[str, Any]) -> None:
    for operation in ("get_item", "delete_item", "update_item"):
        assert "does not match the schema" in invalid(table.say, operation, Key=given)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"N": "nan"}, "cannot be converted to a numeric value: nan"),
        ({"N": "1_000"}, "cannot be converted"),
        ({"N": "1" * 39}, "38 significant digits"),
        ({"N": "1e126"}, "Number overflow"),
        ({"N": "1e-131"}, "Number underflow"),
        ({"SS": []}, "may not be empty"),
        ({"NS": ["1", "1.0"]}, "contains duplicates"),
        ({"NULL": False}, "must have the value of true"),
    ],
)
def test_a_value_that_cannot_be_is_refused(table: OneTable, value: dict[str, Any], problem: str) -> None:
    item = {"pk": {"S": "P"}, "sk": {"S": "1"}, "x": value}
    assert problem in invalid(table.say, "put_item", Item=item)


@pytest.mark.parametrize(
    "value", [{"S": 1}, {"N": 1}, {"BOOL": "yes"}, {}, {"S": "a", "N": "1"}, {"X": "a"}, {"B": "a"}, "text"]
)
def test_what_boto3_would_not_send_is_not_answered(table: OneTable, value: Any) -> None:
    item = {"pk": {"S": "P"}, "sk": {"S": "1"}, "x": value}
    error = refusal("ParamValidation", table.say, "put_item", Item=item)
    assert error.trouble is Trouble.UNREACHABLE


def test_stray_surrogates_are_refused(table: OneTable) -> None:
    item = {"pk": {"S": "P"}, "sk": {"S": "1"}, "x": {"S": "\udcff"}}
    refusal("SerializationException", table.say, "put_item", Item=item)


def test_lists_and_maps_have_32_levels_at_most(table: OneTable) -> None:
    def nested(levels: int) -> Any:
        value: Any = "x"
        for _ in range(levels):
            value = [value]
        return value

    table.put({**key(), "x": nested(31)})
    assert "nested levels" in invalid(table.put, {**key(), "x": nested(32)})


@pytest.mark.parametrize(
    ("given", "spelled"),
    [("01", "1"), ("1.50", "1.5"), ("-0.0", "0"), ("1e3", "1000"), ("+.5", "0.5"), ("1E-3", "0.001")],
)
def test_numbers_have_one_spelling_wherever_they_stand(given: str, spelled: str) -> None:
    kept, _ = taken({"n": {"N": given}, "l": {"L": [{"N": given}]}})
    assert kept == {"n": {"N": spelled}, "l": {"L": [{"N": spelled}]}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "aé"}, 3),
        ({"B": b"abc"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"N": "0"}, 1),
        ({"N": "7"}, 2),
        ({"N": "123"}, 3),
        ({"N": "-123"}, 4),
        ({"N": "1200000"}, 3),
        ({"N": "1700000000.25"}, 7),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": True}]}, 3 + 3 + 2),
        ({"M": {"key": {"S": "ab"}}}, 3 + 1 + 3 + 2),
        ({"SS": ["ab", "c"]}, 3),
        ({"NS": ["1", "2"]}, 4),
    ],
)
def test_the_size_of_a_value(value: dict[str, Any], size: int) -> None:
    assert taken({"name": value})[1] == len("name") + size


def test_an_item_of_400_kb_is_kept_and_one_more_byte_is_not(table: OneTable) -> None:
    rest = len("pk" + "P" + "sk" + "1" + "x")
    table.put({**key(), "x": (LARGEST - rest) * "x"})
    too_much = {**key(), "x": (LARGEST - rest + 1) * "x"}
    assert "maximum allowed size" in invalid(table.put, too_much)
    assert "to update has exceeded" in invalid(table.update, key(), "SET #y = :v", {":v": ""})


def test_an_update_knows_the_size_of_what_it_leaves(table: OneTable) -> None:
    table.put({**key(), "x": 300_000 * "x"})
    table.update(key(), "SET #y = :v REMOVE #x", {":v": 300_000 * "y"})
    assert "to update" in invalid(table.update, key(), "SET #x = :v", {":v": 200_000 * "x"})


def test_a_table_that_is_not_there_is_told() -> None:
    service = DynamoDb(lambda: EPOCH)
    parameters = {"TableName": NAME, "Key": {"pk": {"S": "P"}}}
    error = refusal("ResourceNotFoundException", service.answer, "get_item", parameters)
    assert (error.action, error.resource, error.trouble) == ("dynamodb:GetItem", NAME, Trouble.REFUSED)


def test_a_table_is_made_once_and_with_its_keys_defined(table: OneTable) -> None:
    schema, attributes = (
        {"AttributeName": "p", "KeyType": "HASH"},
        {"AttributeName": "p", "AttributeType": "S"},
    )
    given = {"KeySchema": [schema], "AttributeDefinitions": [attributes]}
    refusal("ResourceInUseException", table.say, "create_table", **given)
    given |= {"TableName": "another", "AttributeDefinitions": []}
    assert "not defined" in invalid(table.service.answer, "create_table", given)


def test_a_table_that_was_deleted_is_gone(table: OneTable) -> None:
    assert table.say("describe_table")["Table"]["TableStatus"] == "ACTIVE"
    table.say("delete_table")
    refusal("ResourceNotFoundException", table.put, key())


def test_what_is_not_simulated_fails_loudly(table: OneTable) -> None:
    with pytest.raises(TypeError, match="ProjectionExpression"):
        table.say("get_item", Key={}, ProjectionExpression="a")
    with pytest.raises(AttributeError, match="batch_write_item"):
        table.service.answer("batch_write_item", {})
    with pytest.raises(NotImplementedError, match="UPDATED_NEW"):
        table.update(key(), "SET #n = :v", {":v": 1}, ReturnValues="UPDATED_NEW")


def test_a_table_may_have_numbers_as_sort_keys_or_none() -> None:
    service = DynamoDb(lambda: EPOCH)
    attributes = [{"AttributeName": "p", "AttributeType": "N"}]
    schema = [{"AttributeName": "p", "KeyType": "HASH"}]
    service.answer(
        "create_table", {"TableName": NAME, "KeySchema": schema, "AttributeDefinitions": attributes}
    )
    service.answer("put_item", {"TableName": NAME, "Item": {"p": {"N": "1.0"}, "x": {"S": "y"}}})
    found = service.answer("get_item", {"TableName": NAME, "Key": {"p": {"N": "1"}}})
    assert found["Item"]["x"] == {"S": "y"}


def test_a_watch_sees_each_item_before_and_after_it_changed() -> None:
    seen: list[tuple[Any, Any]] = []
    table = OneTable(watch=lambda before, after: seen.append((before, after)))
    one, two = ({"pk": {"S": "P"}, "sk": {"S": "1"}, "n": {"N": n}} for n in "12")
    table.put({**key(), "n": 1})
    refusal(CONDITION, table.put, key(), "attribute_not_exists(#pk)")
    table.transact(action("Put", Item={**key(), "n": 2}))
    table.delete(key())
    assert seen == [(None, one), (one, two), (two, None)]


async def test_a_call_is_the_same_through_the_port(table: OneTable) -> None:
    table.put({**key(), "n": 1})
    reply = await table.service.call(
        "dynamodb", "get_item", TableName=NAME, Key={"pk": {"S": "P"}, "sk": {"S": "1"}}
    )
    assert reply["Item"]["n"] == {"N": "1"}
    with pytest.raises(AwsError):
        await table.service.call("dynamodb", "get_item", TableName="another", Key={})
