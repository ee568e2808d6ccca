"""Attribute values: checked, brought into one form, measured, compared.

In that form equal values are equal in Python: numbers have one spelling, sets one order. Sizes are the documented
ones, in bytes: of numbers a byte for two significant digits (in pairs from the point on) and one more, of lists and
maps three and one for each element.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

from controller.simulation.services.dynamodb.errors import Misshapen, Refused, invalid

Wire = Mapping[str, Any]
Item = Mapping[str, Wire]

DEEPEST = 32
MOST_DIGITS = 38
ORDERED = ("S", "N", "B")

# Already spelled as the service does, as nearly all are.
_SPELLED = re.compile(r"0|-?[1-9][0-9]{0,37}|-?(?:0|[1-9][0-9]{0,14})\.[0-9]{0,19}[1-9]")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_EXACT = Context(prec=1000)


def bytes_of(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise Refused("SerializationException", f"not UTF-8: {error.reason}") from None


def taken(item: Any) -> tuple[dict[str, Wire], int]:
    """Attributes as they are kept, and their size."""
    kept, size = {}, 0
    for name, wire in item.items():
        kept[name], measured = value_taken(wire)
        size += bytes_of(name) + measured
    return kept, size


def value_taken(wire: Any, depth: int = 0) -> tuple[Wire, int]:
    if type(wire) is not dict or len(wire) != 1:
        raise Misshapen(f"{type(wire).__name__} is not a value with one type")
    ((kind, value),) = wire.items()
    if kind not in _TAKE:
        raise Misshapen(f"unknown type {kind}")
    return _TAKE[kind](value, depth)


def size_of(wire: Wire | None) -> int:
    """Of a value that was taken before."""
    return 0 if wire is None else value_taken(wire)[1]


def number(text: str) -> str:
    """As the service spells it."""
    if _SPELLED.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    return spelled(Decimal(text))


def spelled(value: Decimal) -> str:
    value = _EXACT.normalize(value)
    if not value:
        return "0"
    if value.adjusted() > 125:
        raise invalid(
            "Number overflow. Attempting to store a number with magnitude larger than supported range"
        )
    if value.adjusted() < -130:
        raise invalid(
            "Number underflow. Attempting to store a number with magnitude smaller than supported range"
        )
    if len(value.as_tuple().digits) > MOST_DIGITS:
        raise invalid(f"Attempting to store more than {MOST_DIGITS} significant digits in a Number")
    return format(value, "f")


def total(left: str, right: str, *, minus: bool = False) -> str:
    one, other = Decimal(left), Decimal(right)
    return spelled(_EXACT.subtract(one, other) if minus else _EXACT.add(one, other))


def sortable(wire: Wire) -> Any:
    """What values of one type that has an order are compared by."""
    ((kind, value),) = wire.items()
    return Decimal(value) if kind == "N" else value


def _string(value: Any, depth: int) -> tuple[Wire, int]:
    if type(value) is not str:
        raise Misshapen(f"{type(value).__name__} is no string")
    return {"S": value}, bytes_of(value)


def _number(value: Any, depth: int) -> tuple[Wire, int]:
    if type(value) is not str:
        raise Misshapen(f"{type(value).__name__} is no number in a string")
    text, size = _measured(value)
    return {"N": text}, size


@lru_cache(16384)
def _measured(text: str) -> tuple[str, int]:
    text = number(text)
    whole, _, fraction = text.lstrip("-").partition(".")
    digits = "0" * (len(whole) % 2) + whole + fraction + "0" * (len(fraction) % 2)
    first, end = len(digits) - len(digits.lstrip("0")), len(digits.rstrip("0"))
    pairs = max(0, (end + 1) // 2 - first // 2)
    return text, pairs + 1 + text.startswith("-")


def _binary(value: Any, depth: int) -> tuple[Wire, int]:
    if not isinstance(value, bytes):
        raise Misshapen(f"{type(value).__name__} is not bytes")
    return {"B": value}, len(value)


def _flag(value: Any, depth: int) -> tuple[Wire, int]:
    if not isinstance(value, bool):
        raise Misshapen(f"{type(value).__name__} is not a bool")
    return {"BOOL": value}, 1


def _null(value: Any, depth: int) -> tuple[Wire, int]:
    if value is not True:
        raise invalid(
            "One or more parameter values were invalid: Null attribute value types must have the value of true"
        )
    return {"NULL": True}, 1


def _list(value: Any, depth: int) -> tuple[Wire, int]:
    parts = [value_taken(each, _deeper(depth)) for each in value]
    return {"L": [part for part, _ in parts]}, 3 + sum(1 + size for _, size in parts)


def _map(value: Any, depth: int) -> tuple[Wire, int]:
    kept, size = {}, 3
    for name, each in value.items():
        kept[name], measured = value_taken(each, _deeper(depth))
        size += 1 + bytes_of(name) + measured
    return {"M": kept}, size


def _deeper(depth: int) -> int:
    if depth + 1 >= DEEPEST:
        raise invalid(
            "Nesting Levels have exceeded supported limits: Attributes have nested levels beyond supported limit"
        )
    return depth + 1


def _set_of(kind: str, called: str) -> Callable[[Any, int], tuple[Wire, int]]:
    def take(value: Any, depth: int) -> tuple[Wire, int]:
        if not value:
            raise invalid(f"One or more parameter values were invalid: An {called} set  may not be empty")
        parts = [value_taken({kind: each}) for each in value]
        members = sorted((part for part, _ in parts), key=sortable)
        if any(one == other for one, other in pairwise(members)):
            raise invalid(
                f"One or more parameter values were invalid: Input collection {list(value)} contains duplicates."
            )
        return {f"{kind}S": [member[kind] for member in members]}, sum(size for _, size in parts)

    return take


_TAKE: dict[str, Callable[[Any, int], tuple[Wire, int]]] = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": _flag,
    "NULL": _null,
    "L": _list,
    "M": _map,
    "SS": _set_of("S", "string"),
    "NS": _set_of("N", "number"),
    "BS": _set_of("B", "binary"),
}
