"""Who leads, what the leader tells the agents, and what the agents say of themselves.

For how long somebody leads is measured by the service's clock: processes whose clocks disagree agree on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runner.adapters.dynamodb import keys
from runner.adapters.dynamodb.reading import decoded
from runner.adapters.dynamodb.table import Condition, Table
from runner.adapters.dynamodb.values import Item
from runner.adapters.unreadable import leave_out
from runner.codec import decode_report, encode_report
from runner.errors import StorageError
from runner.ports import Clock, Supervision
from runner.records import HostReport

# Seconds after its last report at which a host that never said goodbye is forgotten.
KEPT = 7 * 86400


class Leadership:
    def __init__(self, table: Table, now: Clock) -> None:
        self._table = table
        self._now = now
        self._published: Item = {}

    async def lead(self, holder: str, seconds: float) -> bool:
        now = await self._time()
        free = Condition(
            "attribute_not_exists(#pk) OR #holder = :me OR #until <= :now", {":me": holder, ":now": now}
        )
        changes = {"holder": holder, "until": now + seconds}
        taken = await self._table.update(keys.LEADER, changes, free, returning=True)
        self._published = (taken.item or {}) if taken.ok else {}
        return taken.ok

    async def resign(self, holder: str) -> None:
        mine = Condition("#holder = :me", {":me": holder})
        await self._table.update(keys.LEADER, {"until": 0}, mine)

    async def publish(self, holder: str, demand: int, note: str) -> None:
        said = {"holder": holder, "demand": demand, "note": note}
        if all(self._published.get(name) == value for name, value in said.items()):
            return
        leading = Condition("#holder = :me AND #until > :now", {":me": holder, ":now": await self._time()})
        written = await self._table.update(keys.LEADER, {"demand": demand, "note": note}, leading)
        self._published = said if written.ok else {}

    async def _time(self) -> float:
        return (await self._table.dated(keys.LEADER, self._now, consistent=False)).at


class Outlook:
    """What the leader says, and whether there is one."""

    def __init__(self, table: Table, now: Clock) -> None:
        self._table = table
        self._now = now

    async def look(self) -> Supervision:
        item, at = await self._table.dated(keys.LEADER, self._now, consistent=False)
        if item is None:
            return Supervision(led=False, demand=0)
        return Supervision(item["until"] > at, item.get("demand", 0), item.get("note", ""))


async def report(table: Table, report: HostReport) -> None:
    key = keys.report(report.host)
    if report.state == "retired":
        same = Condition("#incarnation = :incarnation", {":incarnation": report.incarnation})
        await table.delete(key, same)
        return
    item = {
        **key._asdict(),
        "incarnation": report.incarnation,
        "report": encode_report(report),
        "expires": int(report.seen_at + KEPT),
    }
    await table.put(item)


async def hosts(table: Table) -> Sequence[HostReport]:
    """Last seen first. Without those that cannot be read."""

    async def part(pk: str) -> Sequence[HostReport]:
        found = [_read(item) async for item in table.query(pk)]
        return [each for each in found if each is not None]

    found = await asyncio.gather(*(part(pk) for pk in keys.reports()))
    reports = [each for reports in found for each in reports]
    return sorted(reports, key=lambda each: (-each.seen_at, each.host))


def _read(item: Item) -> HostReport | None:
    try:
        return decoded(decode_report, item["report"])
    except StorageError as error:
        leave_out("host", str(item["sk"]), str(error))
        return None
