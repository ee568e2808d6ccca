"""One step at a time: settle dependencies, enqueue, scale. Level-triggered: what it does follows from what it sees.

Safe to kill between any two calls; any number may run, one leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from controller import dependencies, scaling, scheduling
from controller.model import Decision
from controller.ports import Fleet, Records
from runner.errors import RunnerError
from runner.ports import Clock, Queue
from runner.records import Backlog, Ending, JobRecord
from runner.settings import SupervisorSettings

log = structlog.get_logger()

LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one step saw and did. `leading` False: it did nothing, someone else leads."""

    leading: bool
    demand: int = 0
    sent: int = 0
    decision: Decision | None = None


class Supervisor:
    """`holder` names this one among those that would lead. `missing_after`: how long, in seconds, a queue must have
    been seen empty before tasks that ought to be on it are sent again; longer than any lease."""

    def __init__(
        self,
        records: Records,
        queue: Queue,
        fleet: Fleet,
        now: Clock,
        *,
        holder: str,
        settings: SupervisorSettings,
        missing_after: float,
    ) -> None:
        self._records = records
        self._queue = queue
        self._fleet = fleet
        self._now = now
        self._holder = holder
        self._settings = settings
        self._missing_after = missing_after
        self._empty_since: dict[str, float] = {}

    async def run(self) -> None:
        """Step for ever; a failing step is logged and tried again, ever later."""
        pause = self._settings.interval
        while True:
            try:
                await self.step()
                pause = self._settings.interval
            except RunnerError as error:
                pause = min(LONGEST_PAUSE, 2 * pause)
                log.warning("step failed", error=str(error), retry_in=pause)
            await asyncio.sleep(pause)

    async def step(self) -> Step:
        if not await self._records.lead(self._holder, self._settings.lease):
            return Step(leading=False)
        await self._settle()
        jobs = await self._records.jobs(unfinished=True)
        sent = await self._enqueue(jobs)
        await self._replace_missing(jobs)
        demand = sum(demand_of(record) for record in jobs)
        await self._records.publish(self._holder, demand)
        decision = scaling.decide(demand, await self._fleet.capacity())
        await self._fleet.resize(decision.desired)
        return Step(leading=True, demand=demand, sent=sent, decision=decision)

    async def resign(self) -> None:
        await self._records.resign(self._holder)

    async def _settle(self) -> None:
        """Release or end waiting jobs; again while that changes something, so that a chain settles in one step."""
        changed = True
        while changed:
            changed = False
            for record in await self._records.jobs(unfinished=True):
                if record.released_at is None and record.ending is None:
                    changed |= await self._settle_one(record)

    async def _settle_one(self, record: JobRecord) -> bool:
        parents = {parent: await self._records.job(parent) for parent in record.job.after}
        result = dependencies.resolve(record, parents, self._now())
        if isinstance(result, Ending):
            log.info("job cannot run", job=record.job.id, reason=result.reason)
            await self._records.end(record.job.id, result)
            return True
        if result:
            await self._records.release(record.job.id, self._now())
        return result

    async def _enqueue(self, jobs: Sequence[JobRecord]) -> int:
        """In turn over the jobs, oldest first."""
        sent = 0
        for record in reversed(jobs):
            sent += await scheduling.enqueue(self._records, self._queue, record, self._settings.window)
        return sent

    async def _replace_missing(self, jobs: Sequence[JobRecord]) -> None:
        """A queue that stays empty though tasks were sent and have not ended has lost them: expired or purged."""
        missing = self._queues_long_empty(await self._queue.backlog())
        for record in jobs:
            if record.queued and record.job.queue in missing:
                count = await scheduling.resend(self._records, self._queue, record)
                log.warning("messages were missing", job=record.job.id, resent=count)

    def _queues_long_empty(self, backlog: Mapping[str, Backlog]) -> set[str]:
        now = asyncio.get_running_loop().time()
        found = set()
        for name, depth in backlog.items():
            if depth.total:
                self._empty_since.pop(name, None)
            elif now - self._empty_since.setdefault(name, now) > self._missing_after:
                found.add(name)
                del self._empty_since[name]
        return found


def demand_of(record: JobRecord) -> int:
    """Tasks that wait to run or run. None while the job waits for others."""
    if record.released_at is None or record.ending is not None:
        return record.counts.running
    return record.counts.runnable + record.counts.running
