"""Where to look for what ended without success, and as what: so that nobody reads all of a job's tasks to find them.

A hint is written before the record that it leads to, so that none is ever missing. Whether that record comes to be is
another matter: somebody else may be quicker to record the same attempt's end. So a hint may lead nowhere, and where two
said different things of one attempt it says of none that it is the one.
"""

from __future__ import annotations

from collections.abc import Collection

from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import Condition, Table
from runner.adapters.dynamodb.values import Item
from runner.model import Status

# What is to be tried again may wait for the job's parents anew, or be cancelled with the job.
_WAITING = frozenset({Status.PENDING, Status.RUNNABLE, Status.CANCELLED})


async def leave(
    table: Table, key: Key, number: int, status: Status, settled: int, expires: int | None
) -> None:
    """That attempt `number` ends, in round `settled`, and its task then has this status."""
    said = {"n": number, "s": status.value, "q": settled}
    later = Condition("attribute_not_exists(#n) OR #n < :n", {":n": number})
    written = await table.put({**key._asdict(), **said, "expires": expires}, later)
    if written.ok:
        return
    found = written.item or {}
    same = all(found.get(name) == value for name, value in said.items())
    if not same and found.get("n", number) == number:
        await table.update(key, {"s": None}, Condition("#n = :n", {":n": number}))


def may_lead_to(hint: Item, standing: Standing, statuses: Collection[Status]) -> bool:
    """Whether its task, as it stands, may be one of these."""
    if "s" not in hint or Status.RUNNING in statuses:
        return True
    status = Status(hint["s"])
    if status is Status.RUNNABLE:
        return not _WAITING.isdisjoint(statuses)
    # What ended in an earlier round is opened again, unless it was brought into this one.
    return status in statuses or hint["q"] < standing.round
