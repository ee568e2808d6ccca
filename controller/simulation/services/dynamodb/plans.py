"""What the expressions of a request mean: read once, for a program sends the same few texts over and over.

A plan depends on the texts, on what the placeholders of names stand for and on the types of the values, not on the
values themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb import parser, update_parser
from controller.simulation.services.dynamodb.conditions import Conditions, Predicate
from controller.simulation.services.dynamodb.errors import invalid
from controller.simulation.services.dynamodb.ranges import Range, read_range
from controller.simulation.services.dynamodb.schema import Schema
from controller.simulation.services.dynamodb.tokens import Tokens
from controller.simulation.services.dynamodb.updates import Updates
from controller.simulation.services.dynamodb.values import Item, value_taken


class Texts(NamedTuple):
    condition: str | None = None
    update: str | None = None
    keys: str | None = None
    filter: str | None = None


class Plan(NamedTuple):
    """`holds`: the condition, or the filter. `range`: what is asked for of a collection."""

    holds: Predicate | None = None
    updates: Updates | None = None
    range: Range | None = None


NOTHING = Plan()


def prepare(
    schema: Schema, texts: Texts, names: Mapping[str, str] | None, values: Mapping[str, Any] | None
) -> tuple[Plan, Item]:
    """The plan and its values, as they are kept. Raises Refused."""
    if not any(texts):
        if names or values:
            kind = "ExpressionAttributeNames" if names else "ExpressionAttributeValues"
            raise invalid(f"{kind} can only be specified when using expressions")
        return NOTHING, {}
    taken, kinds = {}, []
    for name, wire in (values or {}).items():
        taken[name] = value_taken(wire)[0]
        kinds.append((name, *wire))
    if values is not None and not values:
        raise invalid("ExpressionAttributeValues must not be empty")
    if names is not None and not names:
        raise invalid("ExpressionAttributeNames must not be empty")
    return _plan(schema, texts, tuple(names.items()) if names else (), tuple(kinds)), taken


@lru_cache(4096)
def _plan(
    schema: Schema, texts: Texts, names: tuple[tuple[str, str], ...], kinds: tuple[tuple[str, str], ...]
) -> Plan:
    reader = _Reader(schema, dict(names), dict(kinds))
    plan = Plan(
        reader.predicate("ConditionExpression", texts.condition)
        or reader.predicate("FilterExpression", texts.filter),
        reader.updates(texts.update),
        reader.range(texts.keys),
    )
    reader.check_all_used()
    return plan


class _Reader:
    def __init__(self, schema: Schema, names: Mapping[str, str], kinds: Mapping[str, str]) -> None:
        self._schema = schema
        self._names = names
        self._kinds = kinds
        self._used: set[str] = set()
        for name in (*names, *kinds):
            _check_placeholder(name, "#" if name in names else ":")

    def predicate(self, kind: str, text: str | None) -> Predicate | None:
        if text is None:
            return None
        with_types = Conditions(kind, self._kinds)
        tokens = self._tokens(kind, text)
        return with_types.predicate(parser.condition(tokens))

    def updates(self, text: str | None) -> Updates | None:
        if text is None:
            return None
        updates = Updates(update_parser.update(self._tokens("UpdateExpression", text)), self._kinds)
        for part in self._schema.parts:
            if part.name in updates.attributes:
                problem = f"Cannot update attribute {part.name}. This attribute is part of the key"
                raise invalid(f"One or more parameter values were invalid: {problem}")
        return updates

    def range(self, text: str | None) -> Range | None:
        if text is None:
            return None
        tokens = self._tokens("KeyConditionExpression", text)
        return read_range(self._schema, parser.condition(tokens), self._kinds)

    def check_all_used(self) -> None:
        for what, given in (("Names", self._names), ("Values", self._kinds)):
            unused = [name for name in given if name not in self._used]
            if unused:
                problem = f"Value provided in ExpressionAttribute{what} unused in expressions: keys: "
                raise invalid(f"{problem}{{{', '.join(unused)}}}")

    def _tokens(self, kind: str, text: str) -> Tokens:
        return Tokens(kind, text, self._names, self._kinds, self._used)


def _check_placeholder(name: str, mark: str) -> None:
    if not name.startswith(mark) or not name[1:].replace("_", "a").isalnum():
        what = "Names" if mark == "#" else "Values"
        raise invalid(f'ExpressionAttribute{what} contains invalid key: Syntax error; key: "{name}"')
