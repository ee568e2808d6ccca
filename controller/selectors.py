"""From what a user types to jobs and tasks: an id, a unique prefix of one, a name (its latest), `last`, `all`."""

from __future__ import annotations

from collections.abc import Sequence

from controller.ports import Records
from runner.errors import BadInput, NotFound
from runner.model import TaskId
from runner.records import JobRecord

SHOWN_CANDIDATES = 5

# No index has so many, and Python refuses to read a number of thousands.
MOST_DIGITS = 30


async def select(records: Records, selector: str) -> Sequence[JobRecord]:
    """One job, or all of them for `all`. Raises NotFound, BadInput."""
    if selector == "all":
        return await records.jobs()
    return [await select_one(records, selector)]


async def select_one(records: Records, selector: str) -> JobRecord:
    """An exact id goes before a name, a name before a prefix, so that no new job changes what an id means."""
    if selector == "last":
        latest = await records.jobs(limit=1)
        if not latest:
            message = "no job was submitted yet"
            raise NotFound(message)
        return latest[0]
    exact = await records.job(selector)
    if exact is not None:
        return exact
    named = await records.jobs(name=selector, limit=1)
    if named:
        return named[0]
    return await _by_prefix(records, selector)


async def _by_prefix(records: Records, prefix: str) -> JobRecord:
    found = await records.jobs(id_prefix=prefix, limit=SHOWN_CANDIDATES + 1) if prefix else []
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"no job with the id, prefix or name {prefix!r}; see `runner-controller jobs`"
        raise NotFound(message)
    shown = ", ".join(f"{record.job.id} ({record.job.name})" for record in found[:SHOWN_CANDIDATES])
    message = f"{prefix!r} is the beginning of several job ids: {shown}; type more of it"
    raise BadInput(message)


async def select_task(records: Records, selector: str) -> tuple[JobRecord, TaskId]:
    """`JOB/INDEX`. A job of a single task needs no index."""
    job_part, separator, index_part = selector.rpartition("/")
    if not separator:
        record = await select_one(records, selector)
        if record.job.array.size > 1:
            message = f"{selector!r} has {record.job.array.size} tasks: name one as {selector}/INDEX"
            raise BadInput(message)
        return record, TaskId(record.job.id, next(iter(record.job.array)))
    record = await select_one(records, job_part)
    if not index_part.isascii() or not index_part.isdigit():
        message = f"{selector!r}: an index is a number, not {index_part!r}"
        raise BadInput(message)
    if len(index_part) > MOST_DIGITS or int(index_part) not in record.job.array:
        message = f"{record.job.name} ({record.job.id}) has no task {index_part:.{MOST_DIGITS}}"
        raise NotFound(message)
    return record, TaskId(record.job.id, int(index_part))
