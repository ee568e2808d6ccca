"""One write: what it would do to an item, on which condition. Carried out by itself or within a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.simulation.services.dynamodb.conditions import Predicate
from controller.simulation.services.dynamodb.errors import Misshapen, Refused, invalid
from controller.simulation.services.dynamodb.plans import Texts, prepare
from controller.simulation.services.dynamodb.schema import Key
from controller.simulation.services.dynamodb.tables import Stored, Table
from controller.simulation.services.dynamodb.updates import Updates
from controller.simulation.services.dynamodb.values import Item, bytes_of, size_of, taken

LARGEST = 400 * 1024
NO_ITEM: Item = {}

Given = Mapping[str, Any]


@dataclass(slots=True)
class Write:
    """`change`: the item before → after, where None is no item. `shows`: who does not meet the condition is told."""

    table: Table
    key: Key
    change: Callable[[Stored | None], Stored | None]
    holds: Predicate | None
    values: Item
    shows: bool

    def met(self, before: Stored | None) -> bool:
        return self.holds is None or self.holds(before.item if before else NO_ITEM, self.values)

    def weight(self, before: Stored | None) -> int:
        """The size that is billed for: of the larger of the item before and after, also if the condition is not met."""
        try:
            after = self.change(before)
        except Refused:
            after = None
        return max(before.size if before else 0, after.size if after else 0)


def put(table: Table, given: Given) -> Write:
    item, size = taken(given["Item"])
    key = table.schema.key_of(item)
    if size > LARGEST:
        raise invalid("Item size has exceeded the maximum allowed size")
    after = Stored(item, size)
    return _write(table, key, given, lambda before: after)


def delete(table: Table, given: Given) -> Write:
    return _write(table, table.schema.key(given["Key"])[0], given, lambda before: None)


def check(table: Table, given: Given) -> Write:
    """Changes nothing: that is something to do within transactions only."""
    if "ConditionExpression" not in given:
        raise Misshapen('Missing required parameter in input: "ConditionExpression"')
    return _write(table, table.schema.key(given["Key"])[0], given, lambda before: before)


def update(table: Table, given: Given) -> Write:
    key, only_key = table.schema.key(given["Key"])
    texts = Texts(given.get("ConditionExpression"), given.get("UpdateExpression"))
    plan, values = prepare(table.schema, texts, *_placeholders(given))
    updates = plan.updates

    def change(before: Stored | None) -> Stored:
        before = before or Stored(only_key, sum(_weight(name, only_key) for name in only_key))
        return _updated(before, updates, values) if updates else before

    return Write(table, key, change, plan.holds, values, _shows(given))


def _write(table: Table, key: Key, given: Given, change: Callable[[Stored | None], Stored | None]) -> Write:
    plan, values = prepare(table.schema, Texts(given.get("ConditionExpression")), *_placeholders(given))
    return Write(table, key, change, plan.holds, values, _shows(given))


def _placeholders(given: Given) -> tuple[Any, Any]:
    return given.get("ExpressionAttributeNames"), given.get("ExpressionAttributeValues")


def _shows(given: Given) -> bool:
    return bool(given.get("ReturnValuesOnConditionCheckFailure", "NONE") == "ALL_OLD")


def _updated(before: Stored, updates: Updates, values: Item) -> Stored:
    item = updates.apply(before.item, values)
    names = updates.attributes
    size = before.size + sum(_weight(name, item) - _weight(name, before.item) for name in names)
    if size > LARGEST:
        raise invalid("Item size to update has exceeded the maximum allowed size")
    return Stored(item, size)


def _weight(name: str, item: Item) -> int:
    wire = item.get(name)
    return 0 if wire is None else bytes_of(name) + size_of(wire)
