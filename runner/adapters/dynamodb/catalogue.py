"""The lists of jobs: found by time, name or id, and taken from the unfinished when they are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.adapters.dynamodb import keys, registration
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import Condition, Table
from runner.adapters.dynamodb.values import Item
from runner.codec import JOB_ID
from runner.model import Job

FIRST_PAGE = 10

_EXISTS = Condition("attribute_exists(#pk)")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs to list; all that is given must hold."""

    name: str | None = None
    id_prefix: str | None = None
    unfinished: bool = False


async def ids(table: Table, wanted: Filter) -> AsyncIterator[str]:
    """Newest first, those of `unfinished` among others that are over."""
    prefix = wanted.id_prefix or ""
    if prefix and not JOB_ID.fullmatch(prefix):
        return
    name = None if wanted.name is None else keys.by_name(wanted.name)
    async for entry in _entries(table, wanted, prefix, name):
        if entry["job"].startswith(prefix) and name in (None, entry["name"]):
            yield entry["job"]


async def _entries(table: Table, wanted: Filter, prefix: str, name: str | None) -> AsyncIterator[Item]:
    if prefix and not wanted.unfinished:
        found = [entry async for entry in table.query(keys.JOBS_BY_ID, prefix=prefix)]
        for entry in sorted(found, key=lambda entry: str(entry["at"]), reverse=True):
            yield entry
        return
    partition = keys.UNFINISHED if wanted.unfinished else name or keys.ALL_JOBS
    async for entry in table.query(partition, backwards=True, first=FIRST_PAGE):
        yield entry


async def enter(table: Table, standing: Standing, job: Job, round_: int) -> None:
    """Among the unfinished. Comes before what makes the job so: an entry too many is only looked at in vain."""
    entry = registration.entry(standing, job)
    await table.put({**registration.unfinished(standing)._asdict(), **entry, "round": round_})


async def strike(table: Table, standing: Standing) -> None:
    """From the unfinished, unless a new round was opened meanwhile."""
    same = Condition("#round <= :round", {":round": standing.round})
    await table.delete(registration.unfinished(standing), same)


async def keep(table: Table, standing: Standing, job: Job, expires: int | None) -> None:
    """All that is stored of a job as a whole, until then, or for ever."""
    stored: list[Key] = [*registration.listed(job), *_bodies(standing)]
    if job.idempotency_key is not None:
        stored.append(keys.idempotency(job.idempotency_key))
    changes: Mapping[str, Any] = {"expires": expires}
    await asyncio.gather(*(table.update(key, changes, _EXISTS) for key in stored))


def _bodies(standing: Standing) -> Sequence[Key]:
    return [keys.body(standing.job_id, chunk) for chunk in range(standing.chunks)]
