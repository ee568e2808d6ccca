"""What calls cost, by the size rules of the service. A write: one unit for each KB, begun, of the larger of the item
before and after. A read: one for each 4 KB, begun, of an item or of a page of a query; half of that where it need not
be the newest. Emulated: sizes are computed here, from the items; a transaction's writes cost double."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.aws import Aws, Reply
from tests.aws.items import keys_of

Wire = Mapping[str, Any]


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


def read_units(size: int, *, consistent: bool) -> float:
    return max(1, math.ceil(size / 4096)) * (1.0 if consistent else 0.5)


def reads(operation: str, given: Mapping[str, Any], reply: Reply) -> Iterator[tuple[str, float]]:
    """What each part of a call read: the partition's key, and the units."""
    if operation == "get_item":
        consistent = bool(given.get("ConsistentRead"))
        yield given["Key"]["pk"]["S"], read_units(size_of(reply.get("Item", {})), consistent=consistent)
    elif operation == "query":
        size = sum(size_of(item) for item in reply["Items"])
        pk = given["ExpressionAttributeValues"][":pk"]["S"]
        yield pk, read_units(size, consistent=bool(given.get("ConsistentRead")))
    elif operation == "batch_get_item":
        for table, asked in given["RequestItems"].items():
            consistent = bool(asked.get("ConsistentRead"))
            for item in reply["Responses"].get(table, ()):
                yield item["pk"]["S"], read_units(size_of(item), consistent=consistent)


class Metered:
    """`units`: consumed by writes, by the beginning of the partition's key; `reads`: by reads, likewise; `largest`: the
    items that were written."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.units: Counter[str] = Counter()
        self.reads: defaultdict[str, float] = defaultdict(float)
        self.largest: Counter[str] = Counter()

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        keys = keys_of(operation, parameters)
        table = str(parameters.get("TableName") or _table_of(parameters))
        before = [await self._item(table, key) for key in keys]
        try:
            reply = await self._aws.call(service, operation, urgent=urgent, **parameters)
        finally:
            for key, found in zip(keys, before, strict=True):
                self._charge(key["pk"]["S"], found, await self._item(table, key))
        for pk, consumed in reads(operation, parameters, reply):
            self.reads[_kind(pk)] += consumed
        return reply

    async def _item(self, table: str, key: Wire) -> Wire:
        reply = await self._aws.call("dynamodb", "get_item", TableName=table, Key=key)
        return reply.get("Item") or {}

    def _charge(self, pk: str, before: Wire, after: Wire) -> None:
        sizes = size_of(before), size_of(after)
        kind = _kind(pk)
        self.units[kind] += units(sizes)
        self.largest[kind] = max(self.largest[kind], *sizes)

    async def close(self) -> None: ...


def _table_of(parameters: Mapping[str, Any]) -> str:
    """Of statements: the first name that they quote."""
    return "".join(str(each["Statement"]).split('"')[1] for each in parameters.get("Statements", ())[:1])


def _kind(pk: str) -> str:
    return pk.partition("#")[0]


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
        for key in keys_of(operation, parameters):
            self._writes[key["pk"]["S"], int(asyncio.get_running_loop().time())] += 1
        return await self._aws.call(service, operation, urgent=urgent, **parameters)

    async def close(self) -> None: ...
