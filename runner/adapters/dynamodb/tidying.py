"""What nobody else would see to, and so whoever leads does: jobs that are over leave the list of the unfinished, those
that stand still are looked at, those that outlive their history are ended."""

from __future__ import annotations

from collections.abc import Callable

from runner.adapters.dynamodb import browsing, catalogue, enqueueing, recount, standing, stored
from runner.adapters.dynamodb.context import Lifetime
from runner.adapters.dynamodb.seen import Seen
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import pack_total
from runner.adapters.dynamodb.table import Table
from runner.adapters.dynamodb.vigil import Vigil
from runner.model import Status
from runner.records import Ending
from runner.units import format_duration

# Of what may run, so many are looked at to see whether anything does.
LOOKED_AT = 25
# Seconds after a job ended as a whole, when what ran has stopped and was counted, unless who did it is dead.
SETTLED = 5.0


class Tidying:
    """`mark` makes a new one for each write; `patience` is `DynamoRecords`'s."""

    def __init__(self, table: Table, lifetime: Lifetime, mark: Callable[[], str], patience: float) -> None:
        self._table = table
        self._lifetime = lifetime
        self._mark = mark
        self._vigil, self._settled = Vigil(patience), Vigil(min(patience, SETTLED))
        self._patience = patience
        self._recounted: dict[str, int] = {}  # by job: how many events there were then

    async def see_to(self, seen: Seen) -> None:
        if seen.record.status.terminal:
            await self._see_to_ended(seen)
        elif self._lifetime.outlived(seen.job.created_at):
            await self._end(seen)
        elif seen.record.queued and self._vigil.due(seen.job.id, seen.total.events):
            await self._look_closely(seen)

    async def make_whole(self, found: Standing) -> None:
        """For a job of which something counts as sent and not ended, and no such task is to be found: so they have all
        ended, and the sums do not know it; or they are to be sent on their own."""
        await self._recount(found)
        await stored.change(self._table, found.job_id, self._mark(), standing.doubted)

    async def _see_to_ended(self, seen: Seen) -> None:
        complete = seen.total.finished >= seen.standing.size
        if complete and seen.total.short:
            await self._recount(seen.standing)
        elif seen.standing.over or complete or await self._counted_anew(seen):
            await self._close(seen)

    async def _counted_anew(self, seen: Seen) -> bool:
        """Of one that ended as a whole: what a process counted that died before it wrote that shows in no sum, and
        nobody would look for it. False if there was more, or something that had just begun may still be counted."""
        job_id, events = seen.job.id, seen.total.events
        quiet = self._vigil.quiet(job_id, events)
        if self._recounted.get(job_id) != events and self._settled.due(job_id, events):
            await self._recount(seen.standing)
            self._recounted[job_id] = (await stored.total(self._table, seen.standing)).events
        return quiet >= self._patience and self._recounted.get(job_id) == events

    async def _end(self, seen: Seen) -> None:
        kept = format_duration(self._lifetime.history or 0.0)
        reason = (
            f"it was not over {kept} after it was submitted, and so long records are kept (fleet.history)"
        )
        ending = Ending(Status.FAILED, reason, self._lifetime.now())
        await stored.change(
            self._table, seen.job.id, self._mark(), lambda found: standing.ended(found, ending)
        )

    async def _look_closely(self, seen: Seen) -> None:
        if await self._runs(seen):
            return
        array = seen.job.array
        if not await enqueueing.outstanding(self._table, array, seen.standing, limit=1, after=-1):
            await self.make_whole(seen.standing)

    async def _runs(self, seen: Seen) -> bool:
        running = seen.total.active[:LOOKED_AT]
        items = await browsing.read(self._table, seen.standing, running)
        return any(item.status is Status.RUNNING for item in items)

    async def _recount(self, found: Standing) -> None:
        await recount.recount(self._table, found, self._lifetime.expires())

    async def _close(self, seen: Seen) -> None:
        job_id, expires = seen.job.id, self._lifetime.expires()
        sums = pack_total(seen.total, seen.standing.round)

        def decide(found: Standing) -> Standing | None:
            return standing.closed(found, sums) if found.version == seen.standing.version else None

        changed = await stored.change(self._table, job_id, self._mark(), decide, expires)
        if changed is None and not seen.standing.over:
            return  # something happened to it meanwhile
        if expires is not None:
            await catalogue.keep(self._table, seen.standing, seen.job, expires)
        await catalogue.strike(self._table, seen.standing)
        self._recounted.pop(job_id, None)
        self._vigil.forget(job_id)
        self._settled.forget(job_id)
