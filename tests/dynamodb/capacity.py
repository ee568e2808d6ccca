"""What writes cost: one unit for each KB, begun, of the larger of the item before and after; by the size rules of the
service. Emulated: sizes are computed here, from the items; a transaction's writes cost double."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from runner.aws import Aws, Reply

Wire = Mapping[str, Any]
WRITES = ("put_item", "update_item", "delete_item")


def size_of(item: Wire) -> int:
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(wire: Wire) -> int:
    ((kind, value),) = wire.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return len(value.replace(".", "").replace("-", "").strip("0")) // 2 + 2
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value(each) for name, each in value.items())
        case "L":
            return 3 + sum(1 + _value(each) for each in value)
        case _:
            return 1


def units(sizes: Iterable[int]) -> int:
    return max(1, math.ceil(max(sizes, default=0) / 1024))


class Metered:
    """`units`: consumed by writes, by the beginning of the partition's key; `largest`: the items, likewise."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.units: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if operation not in WRITES:
            return await self._aws.call(service, operation, urgent=urgent, **parameters)
        given = parameters.get("Key") or parameters["Item"]
        key = {name: given[name] for name in ("pk", "sk")}
        before = await self._item(parameters["TableName"], key)
        try:
            return await self._aws.call(service, operation, urgent=urgent, **parameters)
        finally:
            self._charge(key["pk"]["S"], before, await self._item(parameters["TableName"], key))

    async def _item(self, table: str, key: Wire) -> Wire:
        reply = await self._aws.call("dynamodb", "get_item", TableName=table, Key=key)
        return reply.get("Item") or {}

    def _charge(self, pk: str, before: Wire, after: Wire) -> None:
        sizes = size_of(before), size_of(after)
        kind = pk.partition("#")[0]
        self.units[kind] += units(sizes)
        self.largest[kind] = max(self.largest[kind], *sizes)

    async def close(self) -> None: ...


class Heat:
    """`busiest`: writes to one partition within one second of the loop's time, at most."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._writes: Counter[tuple[str, int]] = Counter()

    @property
    def busiest(self) -> int:
        return max(self._writes.values(), default=0)

    def total(self, prefix: str) -> int:
        return sum(count for (pk, _), count in self._writes.items() if pk.startswith(prefix))

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        if operation in WRITES:
            given = parameters.get("Key") or parameters["Item"]
            self._writes[given["pk"]["S"], int(asyncio.get_running_loop().time())] += 1
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None: ...
