"""The service behind the port `runner.aws.Aws`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from random import Random
from typing import Any

from controller.simulation.services.dynamodb import lots, queries, transactions, writing
from controller.simulation.services.dynamodb.batches import batch_get
from controller.simulation.services.dynamodb.capacity import Meter
from controller.simulation.services.dynamodb.core import Behaviour, Core
from controller.simulation.services.dynamodb.errors import Misshapen, Refused
from controller.simulation.services.dynamodb.expiry import Expiry
from controller.simulation.services.dynamodb.schema import Schema
from controller.simulation.services.dynamodb.tables import Stored, Table, Watch
from controller.simulation.services.dynamodb.transactions import Transactions
from runner.aws import THROTTLED, AwsError, Reply, Trouble
from runner.ports import Clock

NOTHING: Reply = {}


class DynamoDb:
    """`random`: what chance decides. `watch` is told each item before and after it changed.

    What the service hands out are its own items: nobody may change them.
    """

    def __init__(
        self,
        now: Clock,
        random: Random | None = None,
        behaviour: Behaviour | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self._core = Core(now, random or Random(0), self.behaviour)
        self._transactions = Transactions(self._core)
        self._expiry = Expiry()
        self._watch: Watch = watch or (lambda before, after: None)

    @property
    def meter(self) -> Meter:
        """The units that were consumed so far."""
        return self._core.meter

    async def call(
        self, service: str, operation: str, /, *, urgent: bool = False, **parameters: Any
    ) -> Reply:
        assert service == "dynamodb", service
        await asyncio.sleep(0)  # as every call over a network, it lets others go on
        reply = self.answer(operation, parameters)
        if self.behaviour.committing and operation == transactions.OPERATION:
            await asyncio.sleep(self.behaviour.committing)
        return reply

    def answer(self, operation: str, parameters: dict[str, Any]) -> Reply:
        """Carried out at once. Raises AwsError."""
        self._expiry.sweep(self._core.tables.values(), self._core.now(), self.behaviour.lag)
        action: Callable[..., Reply] = getattr(self, f"_{operation}")
        try:
            reply = action(**parameters)
        except Refused as refused:
            raise _translated(operation, str(parameters.get("TableName", "")), refused) from None
        return {**reply, "ResponseMetadata": _metadata(int(self._core.now()))}

    async def close(self) -> None: ...

    # items

    def _get_item(self, TableName: str, Key: Any, ConsistentRead: bool = False) -> Reply:
        table = self._core.table(TableName)
        found = self._core.get("get_item", table, table.schema.key(Key)[0], ConsistentRead)
        return {"Item": found.item} if found else NOTHING

    def _put_item(self, TableName: str, ReturnValues: str = "NONE", **given: Any) -> Reply:
        write = writing.put(self._core.table(TableName), given)
        return _returned(ReturnValues, *self._core.carry_out("put_item", write))

    def _update_item(self, TableName: str, ReturnValues: str = "NONE", **given: Any) -> Reply:
        write = writing.update(self._core.table(TableName), given)
        return _returned(ReturnValues, *self._core.carry_out("update_item", write))

    def _delete_item(self, TableName: str, ReturnValues: str = "NONE", **given: Any) -> Reply:
        write = writing.delete(self._core.table(TableName), given)
        return _returned(ReturnValues, *self._core.carry_out("delete_item", write))

    def _query(self, **given: Any) -> Reply:
        return queries.query(self._core, given)

    def _scan(self, **given: Any) -> Reply:
        return queries.scan(self._core, given)

    def _batch_get_item(self, RequestItems: Any) -> Reply:
        return batch_get(self._core, RequestItems)

    def _batch_execute_statement(self, Statements: Any) -> Reply:
        return lots.carry_out(self._core, Statements)

    def _transact_write_items(self, TransactItems: Any, ClientRequestToken: str | None = None) -> Reply:
        self._transactions.write(TransactItems, ClientRequestToken)
        return NOTHING

    # tables

    def _create_table(
        self, TableName: str, KeySchema: Any, AttributeDefinitions: Any, BillingMode: str = "PROVISIONED"
    ) -> Reply:
        if TableName in self._core.tables:
            raise Refused("ResourceInUseException", f"Table already exists: {TableName}")
        schema = Schema.read(KeySchema, AttributeDefinitions)
        table = Table(TableName, schema, self._core.now(), self._watch)
        self._core.tables[TableName] = table
        return {"TableDescription": _described(table)}

    def _describe_table(self, TableName: str) -> Reply:
        return {"Table": _described(self._core.table(TableName))}

    def _delete_table(self, TableName: str) -> Reply:
        table = self._core.table(TableName)
        del self._core.tables[TableName]
        return {"TableDescription": {**_described(table), "TableStatus": "DELETING"}}

    def _update_time_to_live(self, TableName: str, TimeToLiveSpecification: Any) -> Reply:
        given = TimeToLiveSpecification
        self._core.table(TableName).expiry = given["AttributeName"] if given["Enabled"] else None
        return {"TimeToLiveSpecification": given}

    def _describe_time_to_live(self, TableName: str) -> Reply:
        expiry = self._core.table(TableName).expiry
        if expiry is None:
            return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": expiry}}


@lru_cache(maxsize=1)
def _metadata(seconds: int) -> Reply:
    """As boto3 tells of it: the header in which the service says what time it is, in whole seconds."""
    return {"HTTPHeaders": {"date": formatdate(seconds, usegmt=True)}}


def _returned(asked: str, before: Stored | None, after: Stored | None) -> Reply:
    if asked == "NONE":
        return NOTHING
    if asked not in ("ALL_OLD", "ALL_NEW"):
        raise NotImplementedError(asked)
    shown = before if asked == "ALL_OLD" else after
    return {"Attributes": shown.item} if shown else NOTHING


def _described(table: Table) -> Reply:
    return {
        "TableName": table.name,
        "TableStatus": "ACTIVE",
        "KeySchema": [
            {"AttributeName": part.name, "KeyType": role}
            for part, role in zip(table.schema.parts, ("HASH", "RANGE"), strict=False)
        ],
        "AttributeDefinitions": [
            {"AttributeName": part.name, "AttributeType": part.kind} for part in table.schema.parts
        ],
        "CreationDateTime": datetime.fromtimestamp(table.created_at, UTC),
    }


def _translated(operation: str, table: str, refused: Refused) -> AwsError:
    action = f"dynamodb:{''.join(part.capitalize() for part in operation.split('_'))}"
    trouble = Trouble.THROTTLED if refused.code in THROTTLED else Trouble.REFUSED
    if isinstance(refused, Misshapen):
        trouble = Trouble.UNREACHABLE  # as the adapter takes what boto3 says of its own accord
    return AwsError(action, table, refused.code, str(refused), trouble, refused.details)
