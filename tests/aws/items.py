"""Which items a request to DynamoDB writes, whether it is one item's own or many statements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

LOT = "batch_execute_statement"
WRITES = frozenset({"put_item", "update_item", "delete_item", LOT})

# Of the statements that do the same.
_VERBS = {"put_item": "INSERT", "update_item": "UPDATE"}
_NAME = re.compile(r"""'(\w+)': \?|"(\w+)" = \?""")

Wire = Mapping[str, Any]


def keys_of(operation: str, given: Mapping[str, Any]) -> Sequence[Wire]:
    """Of the items that it writes by themselves: not in a transaction."""
    if operation not in WRITES:
        return ()
    if operation == LOT:
        return [_key(attributes_of(each)) for each in given["Statements"]]
    return [_key(given.get("Key") or given["Item"])]


def attributes_of(statement: Mapping[str, Any]) -> Wire:
    """What its question marks stand for, by name; if there are two of a name, the one that is compared."""
    names = [inserted or named for inserted, named in _NAME.findall(statement["Statement"])]
    return dict(zip(names, statement["Parameters"], strict=True))


def _key(attributes: Wire) -> Wire:
    return {name: attributes[name] for name in ("pk", "sk")}


def written_by(operation: str, asked: str, given: Mapping[str, Any]) -> Sequence[Wire]:
    """The items that a request writes as `operation` does: by itself, or by its like among statements."""
    if asked != LOT:
        return keys_of(asked, given) if asked == operation else ()
    return [
        _key(attributes_of(each))
        for each in given["Statements"]
        if each["Statement"].startswith(_VERBS[operation])
    ]
