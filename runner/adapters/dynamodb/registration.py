"""Storing a job: all of it or nothing, in one transaction whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from runner.adapters.dynamodb import bodies, keys, stored
from runner.adapters.dynamodb.bodies import Bodies
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import ABSENT, Condition, Table
from runner.adapters.dynamodb.values import Item
from runner.codec import pack_job
from runner.errors import Conflict, Unavailable
from runner.model import Job

TRIES = 3


async def register(table: Table, known: Bodies, job: Job, mark: str) -> tuple[Standing, Job, bool]:
    """The standing of the job that is stored now, that job, and whether this call stored it. Raises Conflict."""
    parts = bodies.chunks(job)
    standing = Standing(
        job_id=job.id,
        size=job.array.size,
        buckets=keys.buckets_for(job.array.size),
        parts=keys.parts_for(job.array.size),
        chunks=len(parts),
        created_at=job.created_at,
        mark=mark,
        released_at=None if job.after else job.created_at,
    )
    puts = _puts(job, standing, parts)
    for _ in range(TRIES):
        if await table.transact(puts, sha256(mark.encode()).hexdigest()[:36]):
            return standing, job, True
        found = await _found(table, known, job)
        if found is not None:
            return *found, found[0].mark == mark
    message = f"job {job.id} was refused as stored already, and cannot be read; try again"
    raise Unavailable(message)


def _puts(job: Job, standing: Standing, parts: Sequence[Item]) -> list[tuple[Item, Condition | None]]:
    once: list[Item] = [stored.pack(standing), *parts]
    if job.idempotency_key is not None:
        once.append({**keys.idempotency(job.idempotency_key)._asdict(), "job": job.id})
    entries = [
        *({**key._asdict(), **entry(standing, job)} for key in listed(job)),
        {**unfinished(standing)._asdict(), **entry(standing, job), "round": 1},
    ]
    return [*((item, ABSENT) for item in once), *((item, None) for item in entries)]


def entry(standing: Standing, job: Job) -> dict[str, Any]:
    """What a list says of a job: enough to look for it without reading it."""
    return {"job": job.id, "name": keys.by_name(job.name), "at": keys.stamp(job.id, standing.created_at)}


def listed(job: Job) -> Sequence[Key]:
    """The lists a job stands in for good."""
    at = keys.stamp(job.id, job.created_at)
    return [Key(keys.ALL_JOBS, at), Key(keys.by_name(job.name), at), Key(keys.JOBS_BY_ID, job.id)]


def unfinished(standing: Standing) -> Key:
    return Key(keys.UNFINISHED, keys.stamp(standing.job_id, standing.created_at))


async def _found(table: Table, known: Bodies, job: Job) -> tuple[Standing, Job] | None:
    """The same job, if it is here already. Raises Conflict if its key or id belongs to another."""
    job_id = job.id
    if job.idempotency_key is not None:
        owner = await table.get(keys.idempotency(job.idempotency_key))
        job_id = owner["job"] if owner else job_id
    standing, body = await stored.read(table, job_id), await known.read(job_id)
    if standing is None or body is None:
        return None
    if _essence(body) != _essence(job):
        used = f"id {job.id}" if body.id == job.id else f"idempotency key {job.idempotency_key!r}"
        message = f"{used} was used before, for something else: job {body.id} ({body.name!r})"
        raise Conflict(message)
    return standing, body


def _essence(job: Job) -> dict[str, Any]:
    packed = pack_job(job)
    return {name: packed[name] for name in packed if name not in ("id", "created_at", "user")}
