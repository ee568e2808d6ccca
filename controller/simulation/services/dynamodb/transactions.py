"""Writes that are all carried out or none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from controller.simulation.services.dynamodb import writing
from controller.simulation.services.dynamodb.capacity import read_units, write_units
from controller.simulation.services.dynamodb.core import Core
from controller.simulation.services.dynamodb.errors import (
    CONDITION,
    ONGOING,
    Misshapen,
    Refused,
    cancelled,
    invalid,
)
from controller.simulation.services.dynamodb.tables import Stored
from controller.simulation.services.dynamodb.writing import Write

OPERATION = "transact_write_items"
MOST_ACTIONS = 100
LARGEST = 4 * 1024 * 1024
LONGEST_TOKEN = 36
TOKEN_KEPT = 600.0
# Everything is prepared, and then committed.
TIMES = 2

_ACTIONS = {
    "Put": writing.put,
    "Update": writing.update,
    "Delete": writing.delete,
    "ConditionCheck": writing.check,
}

Actions = Sequence[Mapping[str, Mapping[str, Any]]]
Reason = Mapping[str, Any]


class Done(NamedTuple):
    """`at`: when it was, or will be, completed. `units`: of reading its items, should it be asked for again."""

    at: float
    request: str
    units: float


class Transactions:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._done: dict[str, Done] = {}

    def write(self, actions: Actions, token: str | None) -> None:
        """Raises Refused."""
        if token is None:
            self._carry_out(actions)
            return
        if not 1 <= len(token) <= LONGEST_TOKEN:
            raise Misshapen(f"Invalid length for parameter ClientRequestToken, value: {len(token)}")
        request = json.dumps(actions, sort_keys=True, default=repr)
        if not self._repeated(token, request):
            units = self._carry_out(actions)
            self._done[token] = Done(self._core.now() + self._core.behaviour.committing, request, units)

    def _repeated(self, token: str, request: str) -> bool:
        """Whether it was carried out before. One that was cancelled has left nothing, and may be tried again."""
        now = self._core.now()
        self._done = {each: done for each, done in self._done.items() if done.at + TOKEN_KEPT > now}
        done = self._done.get(token)
        if done is None:
            return False
        if done.request != request:
            problem = "Request token already in use for another request with a different payload"
            raise Refused("IdempotentParameterMismatchException", problem)
        if done.at > now:
            problem = "The transaction with the given request token is already in progress."
            raise Refused("TransactionInProgressException", problem)
        self._core.meter.reads[OPERATION] += done.units
        return True

    def _carry_out(self, actions: Actions) -> float:
        """What reading its items takes."""
        if not 1 <= len(actions) <= MOST_ACTIONS:
            raise invalid(f"Member must have length between 1 and {MOST_ACTIONS}")
        writes = [self._read(action) for action in actions]
        if len({(each.table.name, each.key) for each in writes}) < len(writes):
            raise invalid("Transaction request cannot include multiple operations on one item")
        found = [each.table.get(each.key) for each in writes]
        sizes = [each.weight(before) for each, before in zip(writes, found, strict=True)]
        if sum(sizes) > LARGEST:
            raise invalid("Aggregated size of all items in the transaction exceeded the limit of 4 MB")
        reasons = list(map(self._reason, writes, found, sizes))
        if any(each["Code"] != "None" for each in reasons):
            raise cancelled(reasons)
        for each, before in zip(writes, found, strict=True):
            self._core.put(each, each.change(before))
        self._core.commit(writes)
        return TIMES * sum(read_units(size, consistent=True) for size in sizes)

    def _read(self, action: Mapping[str, Mapping[str, Any]]) -> Write:
        ((kind, given),) = action.items()
        return _ACTIONS[kind](self._core.table(given["TableName"]), given)

    def _reason(self, write: Write, before: Stored | None, size: int) -> Reason:
        """Why it cannot be carried out, if so. It is paid for even if another one of the transaction cannot."""
        if self._core.conflicts(write):
            return {"Code": "TransactionConflict", "Message": ONGOING}
        try:
            self._core.count_write(OPERATION, write, TIMES * write_units(size))
        except Refused as throttled:
            return {"Code": "ThrottlingError", "Message": str(throttled)}
        if not write.met(before):
            shown = {"Item": before.item} if before and write.shows else {}
            return {**shown, "Code": "ConditionalCheckFailed", "Message": CONDITION}
        try:
            write.change(before)
        except Refused as refused:
            return {"Code": "ValidationError", "Message": str(refused)}
        return {"Code": "None"}
