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

# Of the lease: a leader whose steps fail goes on leading, or its agents would think that nobody does.
LONGEST_PART = 0.4


@dataclass(frozen=True, slots=True)
class Step:
    """What one step saw and did. `leading` False: it did nothing, someone else leads."""

    leading: bool
    demand: int = 0
    sent: int = 0
    decision: Decision | None = None


class Superseded(Exception):
    """Somebody else leads: the step ends where it is."""


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
        self._led_at = 0.0
        self._desired: int | None = None

    async def run(self) -> None:
        """Step for ever; a failing step is logged and tried again, ever later."""
        pause = self._settings.interval
        longest = max(pause, min(LONGEST_PAUSE, LONGEST_PART * self._settings.lease))
        while True:
            try:
                self._tell(await self.step())
                pause = self._settings.interval
            except RunnerError as error:
                pause = min(longest, 2 * pause)
                log.warning("step failed", error=str(error), retry_in=pause)
            await asyncio.sleep(pause)

    def _tell(self, step: Step) -> None:
        """What was decided, when it is not what was decided before."""
        desired = step.decision.desired if step.decision else None
        if step.decision is not None and desired != self._desired:
            log.info("decision", agents=desired, why=step.decision.reason)
        self._desired = desired

    async def step(self) -> Step:
        try:
            await self._lead()
            return await self._step()
        except Superseded:
            return Step(leading=False)

    async def _step(self) -> Step:
        await self._settle()
        jobs = await self._records.jobs(unfinished=True)
        sent = await self._enqueue(jobs)
        await self._replace_missing(jobs)
        await self._still_lead()
        demand = sum(demand_of(record) for record in jobs)
        await self._records.publish(self._holder, demand)
        decision = scaling.decide(demand, await self._fleet.capacity())
        await self._fleet.resize(decision.desired)
        return Step(leading=True, demand=demand, sent=sent, decision=decision)

    async def resign(self) -> None:
        await self._records.resign(self._holder)

    async def _lead(self) -> None:
        """Take the lease or renew it. Raises Superseded."""
        asked_at = self._now()
        if not await self._records.lead(self._holder, self._settings.lease):
            raise Superseded
        self._led_at = asked_at

    async def _still_lead(self) -> None:
        """Between any two jobs: so a step of many goes on leading, and one that was frozen ends. Raises Superseded.

        By the clock that the lease is measured with, which may also have been set back.
        """
        if not 0 <= self._now() - self._led_at < self._settings.lease / 2:
            await self._lead()

    async def _settle(self) -> None:
        """Release or end waiting jobs. Parents are older than what comes after them, so a chain settles at once."""
        jobs = await self._records.jobs(unfinished=True)
        known: dict[str, JobRecord | None] = {record.job.id: record for record in jobs}
        for record in reversed(jobs):
            if record.released_at is None and record.ending is None:
                await self._still_lead()
                await self._settle_one(record, known)

    async def _settle_one(self, record: JobRecord, known: dict[str, JobRecord | None]) -> None:
        """`known` holds what was read in this step, and learns what is read or becomes of the job."""
        for parent in record.job.after:
            if parent not in known:
                known[parent] = await self._records.job(parent)
        result = dependencies.resolve(record, known, self._now())
        if isinstance(result, Ending):
            log.info("job cannot run", job=record.job.id, reason=result.reason)
            await self._records.end(record.job.id, result)
            known[record.job.id] = await self._records.job(record.job.id)
        elif result:
            await self._records.release(record.job.id, self._now())

    async def _enqueue(self, jobs: Sequence[JobRecord]) -> int:
        """In turn over the jobs, oldest first."""
        sent = 0
        for record in reversed(jobs):
            await self._still_lead()
            sent += await scheduling.enqueue(self._records, self._queue, record, self._settings.window)
        return sent

    async def _replace_missing(self, jobs: Sequence[JobRecord]) -> None:
        """A queue that stays empty though tasks were sent and have not ended has lost them: expired or purged."""
        missing = self._queues_long_empty(await self._queue.backlog())
        for record in jobs:
            if record.queued and record.job.queue in missing:
                await self._still_lead()
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
