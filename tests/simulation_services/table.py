"""One table of the simulated service, its clock moved by hand, asked in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from controller.simulation.services.dynamodb import Behaviour, DynamoDb
from runner.adapters.dynamodb.values import pack, unpack
from runner.aws import AwsError, Reply

NAME = "a-table"
EPOCH = 1_700_000_000.0
DAY = 86400.0

Plain = dict[str, Any]


def key(sk: str = "1", pk: str = "P") -> Plain:
    return {"pk": pk, "sk": sk}


class OneTable:
    """Items are written plainly: `{"pk": "P", "n": 1}`. `#x` in an expression is attribute `x`."""

    def __init__(self, seed: int = 0, watch: Any = None, **behaviour: Any) -> None:
        self.time = EPOCH
        self.service = DynamoDb(lambda: self.time, Random(seed), Behaviour(**behaviour), watch)
        self.say(
            "create_table",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )

    def say(self, operation: str, **parameters: Any) -> Reply:
        return self.service.answer(operation, {"TableName": NAME, **parameters})

    def put(self, item: Plain, condition: str = "", values: Plain | None = None, **more: Any) -> Reply:
        given = expression(values, ConditionExpression=condition)
        return self.say("put_item", Item=pack(item), **given, **more)

    def update(
        self, at: Plain, text: str, values: Plain | None = None, condition: str = "", **more: Any
    ) -> Reply:
        given = expression(values, UpdateExpression=text, ConditionExpression=condition)
        return self.say("update_item", Key=pack(at), **given, **more)

    def delete(self, at: Plain, condition: str = "", values: Plain | None = None, **more: Any) -> Reply:
        return self.say(
            "delete_item", Key=pack(at), **expression(values, ConditionExpression=condition), **more
        )

    def get(self, at: Plain, *, consistent: bool = True) -> Plain | None:
        found = self.say("get_item", Key=pack(at), ConsistentRead=consistent).get("Item")
        return unpack(found) if found else None

    def batch(self, keys: Sequence[Plain], *, consistent: bool = True) -> tuple[list[Plain], list[Plain]]:
        """What was found, and the keys that were not read."""
        asked = {NAME: {"Keys": [pack(each) for each in keys], "ConsistentRead": consistent}}
        reply = self.service.answer("batch_get_item", {"RequestItems": asked})
        unread = reply["UnprocessedKeys"].get(NAME, {}).get("Keys", [])
        return [unpack(item) for item in reply["Responses"][NAME]], [unpack(each) for each in unread]

    def query(self, text: str = "pk = :pk", values: Plain | None = None, **more: Any) -> Reply:
        given = expression({":pk": "P", **(values or {})}, KeyConditionExpression=text)
        return self.say("query", **{"ConsistentRead": True, **given, **more})

    def sort_keys(self, text: str = "pk = :pk", values: Plain | None = None, **more: Any) -> list[str]:
        return [item["sk"]["S"] for item in self.query(text, values, **more)["Items"]]

    def transact(self, *actions: Mapping[str, Any], token: str | None = None) -> Reply:
        given: Plain = {"TransactItems": list(actions)}
        if token is not None:
            given["ClientRequestToken"] = token
        return self.service.answer("transact_write_items", given)

    @property
    def read(self) -> float:
        return sum(self.service.meter.reads.values())

    @property
    def written(self) -> float:
        return sum(self.service.meter.writes.values())


def expression(values: Plain | None = None, **texts: str) -> Plain:
    given: Plain = {kind: text for kind, text in texts.items() if text}
    words = " ".join(given.values()).replace("(", " ").replace(")", " ").replace(",", " ")
    names = {
        part.partition("[")[0] for word in words.split() for part in word.split(".") if part.startswith("#")
    }
    if names:
        given["ExpressionAttributeNames"] = {name: name.removeprefix("#") for name in sorted(names)}
    if values:
        given["ExpressionAttributeValues"] = pack(values)
    return given


def action(kind: str, values: Plain | None = None, condition: str = "", **more: Any) -> Mapping[str, Any]:
    """Of a transaction: `kind` Put with an `Item`, Update, Delete or ConditionCheck with a `Key`."""
    wired = {name: pack(each) if name in ("Item", "Key") else each for name, each in more.items()}
    text = str(wired.pop("UpdateExpression", ""))
    given = expression(values, ConditionExpression=condition, UpdateExpression=text)
    return {kind: {"TableName": NAME, **wired, **given}}


def refusal(code: str, act: Any, *parameters: Any, **more: Any) -> AwsError:
    """That `act` is refused so."""
    with pytest.raises(AwsError) as caught:
        act(*parameters, **more)
    assert caught.value.code == code, caught.value
    return caught.value


def invalid(act: Any, *parameters: Any, **more: Any) -> str:
    """Why it is not valid."""
    return str(refusal("ValidationException", act, *parameters, **more))


CONDITION = "ConditionalCheckFailedException"
