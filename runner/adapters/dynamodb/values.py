"""Items ⇄ the form that DynamoDB takes. What is None is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Item = dict[str, Any]
Wire = dict[str, Any]


def pack(item: Mapping[str, Any]) -> Wire:
    return {name: to_wire(value) for name, value in item.items() if value is not None}


def unpack(wire: Mapping[str, Any]) -> Item:
    return {name: _from_wire(value) for name, value in wire.items()}


def to_wire(value: Any) -> Wire:
    match value:
        case str():
            return {"S": storable(value)}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(int(value) if value == int(value) else value)}
        case Mapping():
            return {"M": {storable(str(name)): to_wire(each) for name, each in value.items()}}
        case _:
            return {"L": [to_wire(each) for each in value]}


def _from_wire(wire: Mapping[str, Any]) -> Any:
    ((kind, value),) = wire.items()
    match kind:
        case "N":
            return int(value) if value.lstrip("-").isdigit() else float(value)
        case "M":
            return unpack(value)
        case "L":
            return [_from_wire(each) for each in value]
        case _:
            return value


def storable(text: str) -> str:
    """`text` with what has no UTF-8 (stray bytes of a command line or a log) escaped, instead of refused."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
