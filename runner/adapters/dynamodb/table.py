"""One table and the calls made to it: failing ones are repeated where that helps, refused ones tell what is there.

A repeated write may find its own earlier self, carried out though the reply was lost: conditional writes therefore
return the item they found, and callers look for their mark on it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.retries import CANCELLED, TRIES, TRIES_UNREACHABLE, longest_pause, tries
from runner.adapters.dynamodb.values import Item, pack, to_wire, unpack
from runner.aws import Aws, AwsError, Reply, Trouble, date_of
from runner.ports import Clock

PER_BATCH = 100
LARGEST_PAGE = 4096

REFUSED = "ConditionalCheckFailedException"
_NAME = re.compile(r"#(\w+)")


@dataclass(frozen=True, slots=True)
class Condition:
    """`text` in the service's language, where `#name` is an attribute and `:value` one of `values`."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


ABSENT = Condition("attribute_not_exists(#pk)")


class Written(NamedTuple):
    """Whether a conditional write was carried out; if not, the item that did not meet the condition.

    If so, what an update left, where that was asked for.
    """

    ok: bool
    item: Item | None = None


class Dated(NamedTuple):
    """What a read found, and when: by the service's clock, in whole seconds, never rounded up."""

    item: Item | None
    at: float


class Page(NamedTuple):
    items: Sequence[Item]
    last: Item | None


class Table:
    """`jitter`: uniform in [0, 1). `urgent`: its calls do not wait behind others. `unreachable`: how often a call is
    made that gets no answer."""

    def __init__(
        self,
        aws: Aws,
        name: str,
        jitter: Callable[[], float],
        *,
        urgent: bool = False,
        unreachable: int = TRIES_UNREACHABLE,
    ) -> None:
        self._aws = aws
        self.name = name
        self._jitter = jitter
        self._urgent = urgent
        self._unreachable = unreachable

    def hurried(self) -> Table:
        """The same for calls about what is held, which do not wait behind others."""
        return Table(self._aws, self.name, self._jitter, urgent=True)

    def again(self) -> Table:
        """The same for calls that were made before, and got no answer maybe."""
        return Table(self._aws, self.name, self._jitter, urgent=self._urgent, unreachable=1)

    async def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        return _found(await self._get(key, consistent))

    async def dated(self, key: Key, otherwise: Clock, *, consistent: bool = True) -> Dated:
        """`otherwise`: by which clock, should the service not say what time it is."""
        reply = await self._get(key, consistent)
        date = date_of(reply)
        return Dated(_found(reply), otherwise() if date is None else date)

    async def _get(self, key: Key, consistent: bool) -> Reply:
        return await self._call("get_item", Key=pack(key._asdict()), ConsistentRead=consistent)

    async def batch(self, keys: Collection[Key], *, consistent: bool = True) -> Sequence[Item]:
        """Those of the items that exist, in no order."""
        wanted = [pack(key._asdict()) for key in dict.fromkeys(keys)]
        found: list[Item] = []
        parts = [wanted[start : start + PER_BATCH] for start in range(0, len(wanted), PER_BATCH)]
        for items in await asyncio.gather(*(self._batch(part, consistent) for part in parts)):
            found.extend(items)
        return found

    async def _batch(self, wanted: Sequence[Mapping[str, Any]], consistent: bool) -> Sequence[Item]:
        found: list[Item] = []
        for tried in range(2 * TRIES):
            asked = {self.name: {"Keys": wanted, "ConsistentRead": consistent}}
            reply = await self._repeated("batch_get_item", RequestItems=asked)
            found.extend(unpack(item) for item in reply.get("Responses", {}).get(self.name, ()))
            wanted = reply.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", ())
            if not wanted:
                return found
            await self._pause(tried)
        problem = f"{len(wanted)} keys were left unread, time and again"
        action, code = "dynamodb:BatchGetItem", "UnprocessedKeys"
        raise AwsError(action, self.name, code, problem, Trouble.THROTTLED)

    async def page(
        self,
        pk: str,
        *,
        after: str | None = None,
        prefix: str | None = None,
        limit: int | None = None,
        backwards: bool = False,
        start: Item | None = None,
    ) -> Page:
        """Items of one partition in the order of `sk`: those greater than `after`, or that begin with `prefix`."""
        text, values = "pk = :pk", {":pk": pk}
        if after is not None:
            text, values = text + " AND sk > :after", {**values, ":after": after}
        if prefix is not None:
            text, values = text + " AND begins_with(sk, :prefix)", {**values, ":prefix": prefix}
        given: dict[str, Any] = {} if limit is None else {"Limit": limit}
        if start is not None:
            given["ExclusiveStartKey"] = pack(start)
        reply = await self._call(
            "query",
            KeyConditionExpression=text,
            ExpressionAttributeValues=pack(values),
            ScanIndexForward=not backwards,
            ConsistentRead=True,
            **given,
        )
        last = reply.get("LastEvaluatedKey")
        return Page([unpack(item) for item in reply.get("Items", ())], unpack(last) if last else None)

    async def query(
        self, pk: str, *, prefix: str | None = None, backwards: bool = False, first: int | None = None
    ) -> AsyncIterator[Item]:
        """All of a partition, page by page as they are asked for; the first has `first` items, later ones more."""
        start: Item | None = None
        while True:
            page = await self.page(pk, prefix=prefix, limit=first, backwards=backwards, start=start)
            for item in page.items:
                yield item
            start = page.last
            if start is None:
                return
            first = first and min(LARGEST_PAGE, 4 * first)

    async def put(self, item: Item, condition: Condition | None = None) -> Written:
        return await self._write("put_item", condition, Item=pack(item))

    async def delete(self, key: Key, condition: Condition | None = None) -> Written:
        return await self._write("delete_item", condition, Key=pack(key._asdict()))

    async def update(
        self,
        key: Key,
        changes: Mapping[str, Any],
        condition: Condition,
        *,
        remove: Sequence[str] = (),
        returning: bool = False,
    ) -> Written:
        """Set attributes, and remove those that are None in `changes` or named in `remove`."""
        given = {f":set{number}": value for number, value in enumerate(changes.values())}
        sets = [
            f"#{name} = :set{number}"
            for number, (name, value) in enumerate(changes.items())
            if value is not None
        ]
        removed = [f"#{name}" for name in (*remove, *(n for n, value in changes.items() if value is None))]
        text = " ".join(
            f"{verb} {', '.join(parts)}" for verb, parts in (("SET", sets), ("REMOVE", removed)) if parts
        )
        return await self._write(
            "update_item",
            condition,
            text,
            {name: value for name, value in given.items() if value is not None},
            Key=pack(key._asdict()),
            ReturnValues="ALL_NEW" if returning else "NONE",
        )

    async def _write(
        self,
        operation: str,
        condition: Condition | None,
        update: str = "",
        values: Mapping[str, Any] | None = None,
        /,
        **given: Any,
    ) -> Written:
        if update:
            given["UpdateExpression"] = update
        if condition is not None:
            given["ConditionExpression"] = condition.text
            given["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        values = {**(values or {}), **(condition.values if condition else {})}
        try:
            reply = await self._call(operation, **given, **_expression(update, condition, values))
        except AwsError as error:
            if error.code != REFUSED:
                raise
            found = error.details.get("Item")
            return Written(False, unpack(found) if found else None)
        left = reply.get("Attributes")
        return Written(True, unpack(left) if left else None)

    async def execute(self, statements: Sequence[Mapping[str, Any]]) -> Sequence[Reply]:
        """Carry out PartiQL, up to 25 writes to different items, each by itself. What became of each, in order. Not
        repeated if it fails: who asks for it makes the writes again, one by one."""
        reply = await self._aws.call(
            "dynamodb", "batch_execute_statement", urgent=self._urgent, Statements=statements
        )
        answers: Sequence[Reply] = reply["Responses"]
        return answers

    async def transact(self, puts: Sequence[tuple[Item, Condition | None]], token: str) -> bool:
        """Put all of the items or, if one does not meet its condition, none. `token`: of this one intention."""
        actions = [
            {"Put": {"TableName": self.name, "Item": pack(item), **_stated(condition)}}
            for item, condition in puts
        ]
        try:
            await self._repeated("transact_write_items", TransactItems=actions, ClientRequestToken=token)
        except AwsError as error:
            reasons = error.details.get("CancellationReasons", ())
            if error.code != CANCELLED or all(
                each.get("Code") != "ConditionalCheckFailed" for each in reasons
            ):
                raise
            return False
        return True

    async def _call(self, operation: str, **parameters: Any) -> Reply:
        return await self._repeated(operation, TableName=self.name, **parameters)

    async def _repeated(self, operation: str, **parameters: Any) -> Reply:
        tried = 0
        while True:
            try:
                return await self._aws.call("dynamodb", operation, urgent=self._urgent, **parameters)
            except AwsError as error:
                tried += 1
                if tried >= tries(error, self._unreachable):
                    raise
            await self._pause(tried)

    async def _pause(self, tried: int) -> None:
        await asyncio.sleep(self._jitter() * longest_pause(tried))


def _found(reply: Reply) -> Item | None:
    return unpack(reply["Item"]) if reply.get("Item") else None


def _stated(condition: Condition | None) -> Mapping[str, Any]:
    if condition is None:
        return {}
    return {"ConditionExpression": condition.text, **_expression("", condition, condition.values)}


def _expression(update: str, condition: Condition | None, values: Mapping[str, Any]) -> Mapping[str, Any]:
    stated = condition.text if condition else ""
    names = sorted({*_NAME.findall(update), *_NAME.findall(stated)})
    given: dict[str, Any] = {}
    if names:
        given["ExpressionAttributeNames"] = {f"#{name}": name for name in names}
    if values:
        given["ExpressionAttributeValues"] = {name: to_wire(value) for name, value in values.items()}
    return given
