"""PartiQL: the statements that insert one item or update one, read as the writes that they stand for.

Read are those of `?` only, for values come as parameters: `INSERT INTO "t" VALUE {'a': ?, …}` and
`UPDATE "t" SET "a" = ? … REMOVE "b" … WHERE "pk" = ? AND "sk" = ? AND "c" = ?`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb import writing
from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.schema import Schema
from controller.simulation.services.dynamodb.tables import Table
from controller.simulation.services.dynamodb.writing import Write

LONGEST = 8192
UNEQUAL = "Number of parameters in request and statement don't match."
NO_KEY = "Where clause does not contain a mandatory equality on all key attributes"
# What an insert and an update presuppose, which then is refused in a way of its own.
FREE, THERE = "attribute_not_exists(#0)", "attribute_exists(#0)"

_INSERT = re.compile(r"""\s*INSERT\s+INTO\s+"([\w.-]+)"\s+VALUE\s+\{(.+)\}\s*""", re.IGNORECASE | re.DOTALL)
_UPDATE = re.compile(r"""\s*UPDATE\s+"([\w.-]+)"\s+(.+?)\s+WHERE\s+(.+?)\s*""", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(r"\s*'(\w+)'\s*:\s*\?\s*")
_EQUALITY = re.compile(r'\s*"(\w+)"\s*=\s*\?\s*')
_REMOVED = re.compile(r'\s*"(\w+)"\s*')
_CLAUSE = re.compile(r"\s*\b(SET|REMOVE)\b\s*", re.IGNORECASE)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)

Wires = Mapping[str, Any]


class Statement(NamedTuple):
    """`given`: the attributes of what is inserted, or those that are set; `where`: those that are compared. In
    the order of their parameters."""

    table: str
    inserts: bool
    given: tuple[str, ...]
    removed: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


@lru_cache(4096)
def read(text: str) -> Statement:
    """Raises Refused."""
    if len(text) > LONGEST:
        raise invalid(f"Member must have length less than or equal to {LONGEST}")
    if found := _INSERT.fullmatch(text):
        return Statement(found[1], True, _names(found[2].split(","), _MEMBER))
    if found := _UPDATE.fullmatch(text):
        sets, removed = _changes(found[2])
        return Statement(found[1], False, sets, removed, _names(_AND.split(found[3]), _EQUALITY))
    raise invalid("Statement wasn't well formed, can't be processed")


def write(table: Table, statement: Statement, parameters: Sequence[Any], *, shows: bool) -> Write:
    """Raises Refused."""
    if len(parameters) != len(statement.given) + len(statement.where):
        raise invalid(UNEQUAL)
    shown = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if shows else {}
    make = _insertion if statement.inserts else _update
    return make(table, statement, parameters, shown)


def _insertion(table: Table, statement: Statement, parameters: Sequence[Any], shown: Wires) -> Write:
    item = dict(zip(statement.given, parameters, strict=True))
    names = {"#0": table.schema.hash.name}
    given = {"Item": item, "ConditionExpression": FREE, "ExpressionAttributeNames": names}
    return writing.put(table, {**given, **shown})


def _update(table: Table, statement: Statement, parameters: Sequence[Any], shown: Wires) -> Write:
    sets, compared = parameters[: len(statement.given)], parameters[len(statement.given) :]
    where = list(zip(statement.where, compared, strict=True))
    key = _key(table.schema, where)
    conditions = [(name, wire) for name, wire in where if name not in key]
    values = {f":s{at}": wire for at, wire in enumerate(sets)}
    values |= {f":c{at}": wire for at, (_, wire) in enumerate(conditions)}
    names = {"#0": table.schema.hash.name}
    for name in (*statement.given, *statement.removed, *(name for name, _ in conditions)):
        names[f"#{name}"] = name
    changes = ", ".join(f"#{name} = :s{at}" for at, name in enumerate(statement.given))
    removed = ", ".join(f"#{name}" for name in statement.removed)
    given: dict[str, Any] = {
        "Key": key,
        "UpdateExpression": " ".join(
            part for part in (changes and f"SET {changes}", removed and f"REMOVE {removed}") if part
        ),
        "ConditionExpression": " AND ".join(
            [THERE, *(f"#{name} = :c{at}" for at, (name, _) in enumerate(conditions))]
        ),
        "ExpressionAttributeNames": names,
    }
    if values:
        given["ExpressionAttributeValues"] = values
    return writing.update(table, {**given, **shown})


def _key(schema: Schema, where: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    key = {name: wire for name, wire in where if name in {part.name for part in schema.parts}}
    if len(key) < len(schema.parts):
        raise invalid(NO_KEY)
    return key


def _changes(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is set, and what is removed."""
    before, *parts = _CLAUSE.split(text)
    if before:
        raise _malformed(before)
    sets: list[str] = []
    removed: list[str] = []
    for verb, part in zip(parts[::2], parts[1::2], strict=True):
        if verb.upper() == "SET":
            sets += _names(part.split(","), _EQUALITY)
        else:
            removed += _names(part.split(","), _REMOVED)
    return tuple(sets), tuple(removed)


def _names(parts: Sequence[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(_name(part, pattern) for part in parts)


def _name(part: str, pattern: re.Pattern[str]) -> str:
    found = pattern.fullmatch(part)
    if found is None:
        raise _malformed(part)
    return found[1]


def _malformed(part: str) -> Refused:
    return invalid(f"Statement wasn't well formed, can't be processed: {part.strip()[:40]}")
