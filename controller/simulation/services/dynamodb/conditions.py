"""Conditions as functions of an item and the values that come with the expression."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.syntax import (
    Among,
    Between,
    Check,
    Comparison,
    Condition,
    Conjunction,
    Disjunction,
    Given,
    Negation,
    Operand,
    Path,
    Size,
)
from controller.simulation.services.dynamodb.values import ORDERED, Item, Wire, bytes_of, sortable

Predicate = Callable[[Item, Item], bool]
Getter = Callable[[Item, Item], Wire | None]
Kinds = Mapping[str, str]

TYPES = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"})
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Conditions:
    """`kind`: what the expression is called in a request. `kinds`: the types of the values that come with it."""

    def __init__(self, kind: str, kinds: Kinds) -> None:
        self._kind = kind
        self._kinds = kinds

    def predicate(self, condition: Condition) -> Predicate:
        match condition:
            case Conjunction(left, right):
                return _both(self.predicate(left), self.predicate(right))
            case Disjunction(left, right):
                return _either(self.predicate(left), self.predicate(right))
            case Negation(inner):
                return _not(self.predicate(inner))
            case Comparison():
                return self._comparison(condition)
            case Between():
                return self._between(condition)
            case Among(operand, choices):
                return _among(getter(operand), [getter(choice) for choice in choices])
            case Check():
                return self._check(condition)

    def _comparison(self, given: Comparison) -> Predicate:
        if given.left == given.right:
            problem = "The first operand must be distinct from the remaining operands for this operator or function; "
            raise self._refuse(f"{problem}operator: {given.operator}, operand: {given.left}")
        left, right = getter(given.left), getter(given.right)
        if given.operator == "=":
            return _equal(left, right)
        if given.operator == "<>":
            return _not(_equal(left, right))
        self._ordered(given.operator, given.left, given.right)
        return _compared(left, right, _ORDERINGS[given.operator])

    def _between(self, given: Between) -> Predicate:
        self._ordered("BETWEEN", given.operand, given.low, given.high)
        operand = getter(given.operand)
        above = _compared(operand, getter(given.low), operator.ge)
        return _both(above, _compared(operand, getter(given.high), operator.le))

    def _check(self, given: Check) -> Predicate:
        found = getter(given.path)
        if given.argument is None:
            return _present(found) if given.function == "attribute_exists" else _not(_present(found))
        argument = getter(given.argument)
        if given.function == "contains":
            return _contains(found, argument)
        kind = self._kinds.get(given.argument.name) if isinstance(given.argument, Given) else None
        if given.function == "begins_with":
            self._allow("begins_with", kind, ("S", "B"))
            return _begins(found, argument)
        self._allow("attribute_type", kind, ("S",))
        return _typed(found, argument)

    def _ordered(self, what: str, *operands: Operand) -> None:
        for operand in operands:
            if isinstance(operand, Given):
                self._allow(what, self._kinds[operand.name], ORDERED)

    def _allow(self, what: str, kind: str | None, allowed: tuple[str, ...]) -> None:
        if kind is not None and kind not in allowed:
            problem = "Incorrect operand type for operator or function; operator or function: "
            raise self._refuse(f"{problem}{what}, operand type: {kind}")

    def _refuse(self, problem: str) -> Refused:
        return invalid(f"Invalid {self._kind}: {problem}")


def getter(operand: Operand) -> Getter:
    match operand:
        case Given(name):
            return lambda item, values: values[name]
        case Size(path):
            found = getter(path)
            return lambda item, values: _size(found(item, values))
        case Path((str(name),)):
            return lambda item, values: item.get(name)
        case Path():
            return lambda item, values: at(item, operand)


def at(item: Item, path: Path) -> Wire | None:
    """What stands there, or None."""
    found: Wire | None = {"M": item}
    for part in path.parts:
        if found is None:
            return None
        inside = found.get("L" if isinstance(part, int) else "M")
        if inside is None:
            return None
        found = _item_of(inside, part) if isinstance(part, int) else inside.get(part)
    return found


def _item_of(elements: Sequence[Wire], position: int) -> Wire | None:
    return elements[position] if position < len(elements) else None


def _size(wire: Wire | None) -> Wire | None:
    if wire is None:
        return None
    ((kind, value),) = wire.items()
    if kind in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(bytes_of(value) if kind == "S" else len(value))}


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda item, values: left(item, values) and right(item, values)


def _either(left: Predicate, right: Predicate) -> Predicate:
    return lambda item, values: left(item, values) or right(item, values)


def _not(inner: Predicate) -> Predicate:
    return lambda item, values: not inner(item, values)


def _equal(left: Getter, right: Getter) -> Predicate:
    """What is missing equals nothing, not even what is missing as well."""

    def equal(item: Item, values: Item) -> bool:
        one = left(item, values)
        return one is not None and one == right(item, values)

    return equal


def _present(found: Getter) -> Predicate:
    return lambda item, values: found(item, values) is not None


def _compared(left: Getter, right: Getter, compare: Callable[[Any, Any], bool]) -> Predicate:
    def compared(item: Item, values: Item) -> bool:
        one, other = left(item, values), right(item, values)
        if one is None or other is None or one.keys() != other.keys() or not _has_order(one):
            return False
        return compare(sortable(one), sortable(other))

    return compared


def _has_order(wire: Wire) -> bool:
    return next(iter(wire)) in ORDERED


def _among(operand: Getter, choices: list[Getter]) -> Predicate:
    def among(item: Item, values: Item) -> bool:
        one = operand(item, values)
        return one is not None and any(one == choice(item, values) for choice in choices)

    return among


def _begins(found: Getter, prefix: Getter) -> Predicate:
    def begins(item: Item, values: Item) -> bool:
        one, other = found(item, values), prefix(item, values)
        if one is None or other is None or one.keys() != other.keys():
            return False
        ((kind, value),) = one.items()
        return kind in ("S", "B") and bool(value.startswith(other[kind]))

    return begins


def _contains(found: Getter, wanted: Getter) -> Predicate:
    def contains(item: Item, values: Item) -> bool:
        one, other = found(item, values), wanted(item, values)
        if one is None or other is None:
            return False
        ((kind, value),) = one.items()
        if kind == "L":
            return other in value
        wanted_kind = kind[0]  # a set has members, a string parts, of that type
        return kind in _HOLDING and wanted_kind in other and other[wanted_kind] in value

    return contains


_HOLDING = frozenset({"S", "B", "SS", "NS", "BS"})


def _typed(found: Getter, wanted: Getter) -> Predicate:
    def typed(item: Item, values: Item) -> bool:
        one, other = found(item, values), wanted(item, values)
        return one is not None and other is not None and other.get("S") in one

    return typed
