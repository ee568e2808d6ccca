"""A table's key: its attributes, their types, and where an item stands by them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.values import Item, Wire, sortable, taken

MISMATCH = "The provided key element does not match the schema"
LONGEST_HASH, LONGEST_RANGE = 2048, 1024
Part = str | bytes | Decimal


class KeyPart(NamedTuple):
    name: str
    kind: str
    longest: int


class Key(NamedTuple):
    """Sortable within a collection. `range` is an empty string in tables that have no sort key."""

    hash: Any
    range: Any


class Schema(NamedTuple):
    hash: KeyPart
    range: KeyPart | None

    @classmethod
    def read(cls, keys: Any, attributes: Any) -> Schema:
        """From KeySchema and AttributeDefinitions."""
        kinds = {each["AttributeName"]: each["AttributeType"] for each in attributes}
        names = {each["KeyType"]: each["AttributeName"] for each in keys}
        if "HASH" not in names or set(names.values()) != set(kinds):
            raise invalid(
                "One or more parameter values were invalid: Some index key attributes are not defined"
            )
        hashed, ranged = names["HASH"], names.get("RANGE")
        return cls(
            KeyPart(hashed, kinds[hashed], LONGEST_HASH),
            KeyPart(ranged, kinds[ranged], LONGEST_RANGE) if ranged else None,
        )

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        return (self.hash, self.range) if self.range else (self.hash,)

    def key_of(self, item: Item) -> Key:
        """Of an item that was taken. Raises Refused."""
        first = self._of_item(self.hash, item)
        return Key(first, self._of_item(self.range, item) if self.range else "")

    def key(self, given: Mapping[str, Any]) -> tuple[Key, Item]:
        """A key that is given as such, which has nothing else."""
        wires = taken(given)[0]
        if len(wires) != len(self.parts):
            raise invalid(MISMATCH)
        first = self._of_key(self.hash, wires)
        return Key(first, self._of_key(self.range, wires) if self.range else ""), wires

    def only_key(self, item: Item) -> Item:
        return {part.name: item[part.name] for part in self.parts}

    def _of_item(self, part: KeyPart, item: Item) -> Part:
        wire = item.get(part.name)
        if wire is None:
            raise _bad(f"were invalid: Missing the key {part.name} in the item")
        if part.kind not in wire:
            raise _bad(
                f"were invalid: Type mismatch for key {part.name} expected: {part.kind} actual: {next(iter(wire))}"
            )
        return _checked(part, wire)

    def _of_key(self, part: KeyPart, wires: Item) -> Part:
        wire = wires.get(part.name)
        if wire is None or part.kind not in wire:
            raise invalid(MISMATCH)
        return _checked(part, wire)


def _checked(part: KeyPart, wire: Wire) -> Part:
    value: Part = sortable(wire)
    if isinstance(value, Decimal):
        return value
    if not value:
        kind = "string" if part.kind == "S" else "binary"
        problem = (
            f"The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {part.name}"
        )
        raise _bad(f"are not valid. {problem}")
    if (
        4 * len(value) > part.longest
        and len(value.encode() if isinstance(value, str) else value) > part.longest
    ):
        what = "hashkey" if part.longest == LONGEST_HASH else "rangekey"
        raise _bad(
            f"were invalid: Size of {what} has exceeded the maximum size limit of {part.longest} bytes"
        )
    return value


def _bad(problem: str) -> Refused:
    return invalid(f"One or more parameter values {problem}")
