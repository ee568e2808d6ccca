"""Reading many items: a query's page of one collection, a scan's of the whole table."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb.capacity import read_units
from controller.simulation.services.dynamodb.core import Core
from controller.simulation.services.dynamodb.errors import Misshapen, invalid
from controller.simulation.services.dynamodb.plans import Plan, Texts, prepare
from controller.simulation.services.dynamodb.ranges import Range
from controller.simulation.services.dynamodb.tables import Stored, Table
from controller.simulation.services.dynamodb.values import Item, sortable

PAGE = 1024 * 1024

Given = Mapping[str, Any]


class Page(NamedTuple):
    """`full`: there may be more."""

    rows: list[Stored]
    size: int
    full: bool


def query(core: Core, given: Given) -> Mapping[str, Any]:
    table, consistent = core.table(given["TableName"]), bool(given.get("ConsistentRead", False))
    texts = Texts(keys=given.get("KeyConditionExpression"), filter=given.get("FilterExpression"))
    plan, values = _prepared(table, texts, given)
    if plan.range is None:
        problem = (
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
        raise invalid(problem)
    hash_key = sortable(values[plan.range.hash])
    collection = table.collection(hash_key, core.as_of(consistent))
    order, stored = collection.order, collection.stored
    first, end = plan.range.within(order, values)
    backwards = not given.get("ScanIndexForward", True)
    if "ExclusiveStartKey" in given:
        start = _start_of(table, plan.range, values, given["ExclusiveStartKey"])
        if backwards:
            end = min(end, bisect_left(order, start))
        else:
            first = max(first, bisect_right(order, start))
    positions = range(end - 1, first - 1, -1) if backwards else range(first, end)
    page = _page((stored[order[at]] for at in positions), given.get("Limit"))
    core.count_read("query", table, hash_key, read_units(page.size, consistent))
    return _shown(table, page, plan, values)


def scan(core: Core, given: Given) -> Mapping[str, Any]:
    """Of what is there now, whatever was asked: no work depends on it, people and tests ask for it."""
    table = core.table(given["TableName"])
    plan, values = _prepared(table, Texts(filter=given.get("FilterExpression")), given)
    start = table.schema.key(given["ExclusiveStartKey"])[0] if "ExclusiveStartKey" in given else None
    page = _page((stored for key, stored in table if start is None or key > start), given.get("Limit"))
    core.meter.reads["scan"] += read_units(page.size, bool(given.get("ConsistentRead", False)))
    return _shown(table, page, plan, values)


def _prepared(table: Table, texts: Texts, given: Given) -> tuple[Plan, Item]:
    names, values = given.get("ExpressionAttributeNames"), given.get("ExpressionAttributeValues")
    return prepare(table.schema, texts, names, values)


def _start_of(table: Table, asked: Range, values: Item, given: Given) -> Any:
    """The sort key behind which to go on."""
    key = table.schema.key(given)[0]
    if key.hash != sortable(values[asked.hash]) or asked.within([key.range], values) != (0, 1):
        raise invalid("The provided starting key is outside query boundaries based on provided conditions")
    return key.range


def _page(rows: Iterable[Stored], limit: int | None) -> Page:
    """As many as were asked for, or as fit."""
    if limit is not None and limit < 1:
        raise Misshapen(f"Invalid value for parameter Limit, value: {limit}, valid min value: 1")
    taken: list[Stored] = []
    size = 0
    for row in islice(rows, limit):
        if taken and size + row.size > PAGE:
            return Page(taken, size, full=True)
        taken.append(row)
        size += row.size
    return Page(taken, size, full=len(taken) == limit)


def _shown(table: Table, page: Page, plan: Plan, values: Item) -> Mapping[str, Any]:
    items = [row.item for row in page.rows if plan.holds is None or plan.holds(row.item, values)]
    reply: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(page.rows)}
    if page.full:
        reply["LastEvaluatedKey"] = table.schema.only_key(page.rows[-1].item)
    return reply
