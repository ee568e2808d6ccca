"""Who leads, what the leader tells the agents, and what the agents say of themselves."""

from __future__ import annotations

import asyncio
import math
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
        now = self._now()
        free = Condition(
            "attribute_not_exists(#pk) OR #holder = :me OR #until <= :now", {":me": holder, ":now": now}
        )
        changes = {"holder": holder, "until": now + seconds, "lease": seconds}
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
        leading = Condition("#holder = :me AND #until > :now", {":me": holder, ":now": self._now()})
        written = await self._table.update(keys.LEADER, {"demand": demand, "note": note}, leading)
        self._published = said if written.ok else {}


class Outlook:
    """What the leader says, and whether there is one: its lease lies ahead, or was seen to be renewed no longer ago
    than it lasts. Only the first compares two clocks; by the second a host whose clock is ahead sees it too."""

    def __init__(self, table: Table, now: Clock) -> None:
        self._table = table
        self._now = now
        self._until: float | None = None
        self._renewed = -math.inf

    async def look(self) -> Supervision:
        item = await self._table.get(keys.LEADER, consistent=False)
        if item is None:
            return Supervision(led=False, demand=0)
        led = self._led(item["until"], item["lease"])
        return Supervision(led=led, demand=item.get("demand", 0), note=item.get("note", ""))

    def _led(self, until: float, lease: float) -> bool:
        time = asyncio.get_running_loop().time()
        if self._until not in (None, until):
            self._renewed = time
        self._until = until
        resigned = until == 0
        return not resigned and (until > self._now() or time - self._renewed < lease)


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
