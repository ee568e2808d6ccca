"""Standings as items: read by all, changed by whoever finds them as they were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from runner.adapters.dynamodb import keys, sums
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.reading import not_understood
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import Condition, Table
from runner.adapters.dynamodb.values import Item
from runner.adapters.unreadable import leave_out
from runner.codec import JOB_ID
from runner.errors import StorageError, Unavailable
from runner.model import Status
from runner.records import Ending

VERSION = 1
CHANGES = 20
_PLAIN = (
    "size",
    "buckets",
    "parts",
    "chunks",
    "created_at",
    "version",
    "mark",
    "round",
    "sent",
    "resend",
    "resend_end",
    "earlier",
    "ended_round",
    "gap_end",
    "lifted_sent",
    "released_at",
    "over",
    "closed",
)


def pack(standing: Standing, expires: int | None = None) -> Item:
    ending = standing.ending
    return {
        **keys.state(standing.job_id)._asdict(),
        "expires": expires,
        "v": VERSION,
        **{name: getattr(standing, name) for name in _PLAIN},
        "scans": [list(scan) for scan in standing.scans],
        "ending": None if ending is None else [ending.status.value, ending.reason, ending.at],
    }


def unpack(item: Item) -> Standing:
    """Raises StorageError: every operation reads it, so here all of a job that a newer program stored is refused."""
    if item["v"] != VERSION:
        problem = f"version {item['v']}, and this program knows {VERSION}"
        raise not_understood(problem)
    ending = item.get("ending")
    released_at = item.get("released_at")
    given = {name: item[name] for name in _PLAIN if name in item}
    given["released_at"] = None if released_at is None else float(released_at)
    return Standing(
        job_id=keys.job_of(item),
        scans=tuple((round_, reached) for round_, reached in item["scans"]),
        ending=Ending(Status(ending[0]), ending[1], float(ending[2])) if ending else None,
        **given,
    )


async def read(table: Table, job_id: str) -> Standing | None:
    if not JOB_ID.fullmatch(job_id):
        return None
    item = await table.get(keys.state(job_id))
    return unpack(item) if item else None


async def read_all(table: Table, job_ids: Sequence[str], *, consistent: bool = True) -> dict[str, Standing]:
    """Those that can be read."""
    wanted: list[Key] = [keys.state(job_id) for job_id in job_ids if JOB_ID.fullmatch(job_id)]
    found: dict[str, Standing] = {}
    for item in await table.batch(wanted, consistent=consistent) if wanted else ():
        try:
            found[keys.job_of(item)] = unpack(item)
        except StorageError as error:
            leave_out("job", keys.job_of(item), str(error))
    return found


async def change(
    table: Table,
    job_id: str,
    mark: str,
    decide: Callable[[Standing], Standing | None],
    expires: int | None = None,
) -> Standing | None:
    """Write what `decide` makes of the standing, which may be asked again if somebody else was quicker. Returns the
    new one; None if there is nothing to change, or no such job."""
    for _ in range(CHANGES):
        standing = await read(table, job_id)
        if standing is None or standing.mark == mark:  # carried out, though the reply was lost
            return standing
        changed = decide(standing)
        if changed is None:
            return None
        changed = replace(changed, version=standing.version + 1, mark=mark)
        unchanged = Condition("#version = :version", {":version": standing.version})
        written = await table.put(pack(changed, expires), unchanged)
        if written.ok or (written.item is not None and written.item.get("mark") == mark):
            return changed
        await asyncio.sleep(0)
    message = f"job {job_id} is being changed by too many at once; try again"
    raise Unavailable(message)


async def total(table: Table, standing: Standing) -> sums.Total:
    """What all sources counted, or what stood when the job was over."""
    if standing.closed is not None:
        return sums.total([standing.closed], standing.round, standing.size)
    if standing.released_at is None and standing.round == 1:
        return sums.Total()  # it waits for others, and nothing of it has ever begun
    parts = keys.all_sums(standing.job_id, standing.parts)
    found = await asyncio.gather(*(_all(table, pk) for pk in parts))
    return sums.total([item for items in found for item in items], standing.round, standing.size)


async def _all(table: Table, pk: str) -> Sequence[Item]:
    return [item async for item in table.query(pk)]
