"""What a key condition asks for: one collection, and of that what lies between two sort keys."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb.errors import invalid
from controller.simulation.services.dynamodb.schema import KeyPart, Schema
from controller.simulation.services.dynamodb.syntax import (
    Between,
    Check,
    Comparison,
    Condition,
    Conjunction,
    Given,
    Path,
)
from controller.simulation.services.dynamodb.values import Item, sortable

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


class Range(NamedTuple):
    """`hash`, `low`, `high` name values; `operator` is a comparison, BETWEEN, begins_with or empty."""

    hash: str
    operator: str = ""
    low: str = ""
    high: str = ""

    def within(self, order: Sequence[Any], values: Item) -> tuple[int, int]:
        """The positions in a collection's order from which and up to which it reaches."""
        if not self.operator:
            return 0, len(order)
        low = sortable(values[self.low])
        match self.operator:
            case "=":
                return bisect_left(order, low), bisect_right(order, low)
            case "<":
                return 0, bisect_left(order, low)
            case "<=":
                return 0, bisect_right(order, low)
            case ">":
                return bisect_right(order, low), len(order)
            case ">=":
                return bisect_left(order, low), len(order)
            case "BETWEEN":
                return bisect_left(order, low), bisect_right(order, sortable(values[self.high]))
            case _:
                first = bisect_left(order, low)
                return first, bisect_right(order, low, first, key=lambda each: each[: len(low)])


def read_range(schema: Schema, condition: Condition, kinds: Mapping[str, str]) -> Range:
    """Raises Refused for what a query cannot ask."""
    found: dict[str, Range] = {}
    for part in _parts(condition):
        name, asked = _asked(part)
        if name in found:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        found[name] = asked
    hashed = found.pop(schema.hash.name, None)
    if hashed is None:
        raise invalid(f"Query condition missed key schema element: {schema.hash.name}")
    if hashed.operator != "=":
        raise invalid("Query key condition not supported")
    _check_kinds(schema.hash, hashed, kinds)
    if not found:
        return Range(hashed.low)
    if schema.range is None or schema.range.name not in found or len(found) > 1:
        raise invalid(
            f"Query condition missed key schema element: {schema.range.name if schema.range else '-'}"
        )
    _check_kinds(schema.range, found[schema.range.name], kinds)
    return found[schema.range.name]._replace(hash=hashed.low)


def _parts(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, Conjunction):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    else:
        yield condition


def _asked(part: Condition) -> tuple[str, Range]:
    match part:
        case Comparison(operator, Path((str(name),)), Given(value)) if operator in _MIRRORED:
            return name, Range("", operator, value)
        case Comparison(operator, Given(value), Path((str(name),))) if operator in _MIRRORED:
            return name, Range("", _MIRRORED[operator], value)
        case Between(Path((str(name),)), Given(low), Given(high)):
            return name, Range("", "BETWEEN", low, high)
        case Check("begins_with", Path((str(name),)), Given(value)):
            return name, Range("", "begins_with", value)
    raise invalid("Invalid operator used in KeyConditionExpression")


def _check_kinds(part: KeyPart, asked: Range, kinds: Mapping[str, str]) -> None:
    wrong = any(name and kinds[name] != part.kind for name in (asked.low, asked.high))
    if wrong or (asked.operator == "begins_with" and part.kind == "N"):
        problem = "Condition parameter type does not match schema type"
        raise invalid(f"One or more parameter values were invalid: {problem}")
