"""Updates as functions of an item: what it becomes. What they read is the item as it was before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from controller.simulation.services.dynamodb.conditions import Getter, Kinds, at, getter
from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.syntax import (
    Given,
    IfNotExists,
    ListAppend,
    Path,
    Sum,
    Term,
    Update,
)
from controller.simulation.services.dynamodb.values import Item, Wire, total, value_taken

MISSING = "The provided expression refers to an attribute that does not exist in the item"
MISTYPED = "An operand in the update expression has an incorrect data type"
NO_PLACE = "The document path provided in the update expression is invalid for update"


class Updates:
    """One update, ready to be applied. Raises Refused for operands of types that can never be right."""

    def __init__(self, update: Update, kinds: Kinds) -> None:
        self._kinds = kinds
        self._sets = [(path.parts, self._term(term)) for path, term in update.sets]
        # From behind, so that positions in a list stay true.
        self._removes = [path.parts for path in sorted(update.removes, key=_position, reverse=True)]
        self._adds = [
            (path, self._checked("ADD", given, ("N", "SS", "NS", "BS"))) for path, given in update.adds
        ]
        self._deletes = [
            (path, self._checked("DELETE", given, ("SS", "NS", "BS"))) for path, given in update.deletes
        ]
        self.attributes = frozenset(path.attribute for path in update.paths)

    def apply(self, item: Item, values: Item) -> dict[str, Wire]:
        sets = [(parts, find(item, values)) for parts, find in self._sets]
        if any(wire is None for _, wire in sets):
            raise invalid(MISSING)
        new = dict(item)
        for path, given in self._adds:
            _put(new, path.parts, _added(at(item, path), values[given.name]))
        for path, given in self._deletes:
            _put(new, path.parts, _without(at(item, path), values[given.name]))
        for parts, wire in sets:
            _put(new, parts, wire)
        for parts in self._removes:
            _put(new, parts, None)
        return new

    def _checked(self, operator: str, given: Given, allowed: tuple[str, ...]) -> Given:
        if self._kinds[given.name] not in allowed:
            raise self._mistyped(operator, self._kinds[given.name])
        return given

    def _mistyped(self, what: str, kind: str) -> Refused:
        problem = "Incorrect operand type for operator or function; operator or function: "
        return invalid(f"Invalid UpdateExpression: {problem}{what}, operand type: {kind}")

    def _term(self, term: Term) -> Getter:
        match term:
            case IfNotExists(path, otherwise):
                known, other = getter(path), self._term(otherwise)
                return lambda item, values: known(item, values) or other(item, values)
            case ListAppend(first, second):
                return _appended(
                    self._operand("list_append", first, "L"), self._operand("list_append", second, "L")
                )
            case Sum(left, right, minus):
                sign = "-" if minus else "+"
                return _summed(self._operand(sign, left, "N"), self._operand(sign, right, "N"), minus)
            case _:
                return getter(term)

    def _operand(self, operator: str, term: Term, kind: str) -> Getter:
        if isinstance(term, Given) and self._kinds[term.name] != kind:
            raise self._mistyped(operator, self._kinds[term.name])
        return self._term(term)


def _position(path: Path) -> tuple[tuple[bool, str | int], ...]:
    return tuple((isinstance(part, int), part) for part in path.parts)


def _of_kind(wire: Wire | None, kind: str) -> Any:
    if wire is None:
        raise invalid(MISSING)
    if kind not in wire:
        raise invalid(MISTYPED)
    return wire[kind]


def _appended(first: Getter, second: Getter) -> Getter:
    return lambda item, values: {
        "L": [*_of_kind(first(item, values), "L"), *_of_kind(second(item, values), "L")]
    }


def _summed(left: Getter, right: Getter, minus: bool) -> Getter:
    def summed(item: Item, values: Item) -> Wire:
        one, other = _of_kind(left(item, values), "N"), _of_kind(right(item, values), "N")
        return {"N": total(one, other, minus=minus)}

    return summed


def _added(before: Wire | None, given: Wire) -> Wire:
    if before is None:
        return given
    ((kind, value),) = given.items()
    found = _of_kind(before, kind)
    if kind == "N":
        return {"N": total(found, value)}
    return value_taken({kind: list({*found, *value})})[0]


def _without(before: Wire | None, given: Wire) -> Wire | None:
    """None if nothing is left: there are no empty sets."""
    if before is None:
        return None
    ((kind, value),) = given.items()
    left = [each for each in _of_kind(before, kind) if each not in value]
    return {kind: left} if left else None


def _put(item: dict[str, Wire], parts: tuple[str | int, ...], wire: Wire | None) -> None:
    """Put it there, or remove what is there. What lies on the way is copied: other items may share it."""
    inside: Any = item
    for here, following in pairwise(parts):
        inside = _entered(inside, here, "L" if isinstance(following, int) else "M")
    last = parts[-1]
    if isinstance(last, str):
        if wire is None:
            inside.pop(last, None)
        else:
            inside[last] = wire
    elif wire is None:
        del inside[last : last + 1]
    else:
        inside[last : last + 1] = [wire]


def _entered(inside: Any, part: str | int, kind: str) -> Any:
    """The list or map that stands there, as a copy of its own."""
    known = part in inside if isinstance(part, str) else part < len(inside)
    if not known or kind not in inside[part]:
        raise invalid(NO_PLACE)
    copy = inside[part][kind].copy()
    inside[part] = {kind: copy}
    return copy
