"""PartiQL: writes of one item each as statements, several of which go in one request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.table import Condition
from runner.adapters.dynamodb.values import Item, Wire, pack, to_wire

_NAME_OR_VALUE = re.compile(r"#(\w+)|(:\w+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One write. `parameters` are what its question marks stand for, in their order."""

    key: Key
    text: str
    parameters: list[Wire]

    def request(self) -> Mapping[str, Any]:
        return {
            "Statement": self.text,
            "Parameters": self.parameters,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def insert(table: str, item: Item) -> Statement:
    """Refused if there is one of its key."""
    wire = pack(item)
    names = ", ".join(f"'{name}': ?" for name in wire)
    return Statement(
        Key(item["pk"], item["sk"]), f'INSERT INTO "{table}" VALUE {{{names}}}', list(wire.values())
    )


def update(table: str, key: Key, changes: Mapping[str, Any], condition: Condition) -> Statement:
    """As `Table.update`; the condition is made of comparisons that all have to hold."""
    sets = {name: to_wire(value) for name, value in changes.items() if value is not None}
    parameters = [*sets.values(), *pack(key._asdict()).values()]

    def said(found: re.Match[str]) -> str:
        if found[1]:
            return f'"{found[1]}"'
        parameters.append(to_wire(condition.values[found[2]]))
        return "?"

    clauses = [f'SET "{name}" = ?' for name in sets]
    clauses += [f'REMOVE "{name}"' for name, value in changes.items() if value is None]
    fenced = _NAME_OR_VALUE.sub(said, condition.text)
    text = f'UPDATE "{table}" {" ".join(clauses)} WHERE "pk" = ? AND "sk" = ? AND {fenced}'
    return Statement(key, text, parameters)
