"""Reading items by their keys, many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.simulation.services.dynamodb.core import Core
from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.schema import Key
from controller.simulation.services.dynamodb.tables import Table

OPERATION = "batch_get_item"
MOST_KEYS = 100
LARGEST = 16 * 1024 * 1024

Given = Mapping[str, Any]


def batch_get(core: Core, asked: Mapping[str, Given]) -> Mapping[str, Any]:
    count = sum(len(each["Keys"]) for each in asked.values())
    if not 1 <= count <= MOST_KEYS:
        raise invalid("Too many items requested for the BatchGetItem call")
    batch = _Batch(core, _most(core, count))
    for name, wanted in asked.items():
        batch.read(core.table(name), wanted)
    if batch.throttled and not batch.done:
        raise batch.throttled
    return {"Responses": batch.responses, "UnprocessedKeys": batch.unread}


def _most(core: Core, count: int) -> int:
    """How many of the keys are read at most; never none."""
    share = core.behaviour.unread
    return core.random.randint(1, count) if share and core.random.random() < share else count


class _Batch:
    """`done`: the number of keys that were read."""

    def __init__(self, core: Core, most: int) -> None:
        self._core = core
        self._most = most
        self._left = LARGEST
        self.done = 0
        self.responses: dict[str, list[Any]] = {}
        self.unread: dict[str, Any] = {}
        self.throttled: Refused | None = None

    def read(self, table: Table, wanted: Given) -> None:
        found = self.responses.setdefault(table.name, [])
        consistent = bool(wanted.get("ConsistentRead", False))
        keys = _keys(table, wanted["Keys"])
        missed = [given for key, given in keys if not self._one(table, key, consistent, found)]
        if missed:
            self.unread[table.name] = {**wanted, "Keys": missed}

    def _one(self, table: Table, key: Key, consistent: bool, found: list[Any]) -> bool:
        """Whether it was looked for."""
        if self._left <= 0 or self.done >= self._most:
            return False
        try:
            stored = self._core.get(OPERATION, table, key, consistent)
        except Refused as throttled:
            self.throttled = throttled
            return False
        self.done += 1
        if stored is not None:
            self._left -= stored.size
            found.append(stored.item)
        return True


def _keys(table: Table, given: Sequence[Given]) -> list[tuple[Key, Given]]:
    """Backwards, for a reply has no order that anybody may rely on."""
    keys = [(table.schema.key(each)[0], each) for each in reversed(given)]
    if len({key for key, _ in keys}) < len(keys):
        raise invalid("Provided list of item keys contains duplicates")
    return keys
