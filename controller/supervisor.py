"""One step at a time: settle dependencies, enqueue, scale. Level-triggered: what it does follows from what it sees.

Safe to kill between any two calls; any number may run, one leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from controller import demand, dependencies, scheduling
from controller.courtesy import Courtesy
from controller.delegation import Delegation, own
from controller.demand import Load, demand_of
from controller.depths import Believed, Depths
from controller.faults import Faults
from controller.health import Health
from controller.machines import Machines
from controller.model import Decision
from controller.pace import Paces
from controller.ports import Backend, Fleet, Records
from controller.resending import Resending
from runner.codec import encode_note
from runner.errors import RunnerError
from runner.ports import Clock, Queue, Supervision
from runner.records import Backlog, Ending, JobRecord, Note
from runner.routing import Routes
from runner.settings import SupervisorSettings

log = structlog.get_logger()

LONGEST_PAUSE = 30.0
# Of the lease: a leader whose steps fail goes on leading, or its agents would think that nobody does.
LONGEST_PART = 0.4

# Seconds between two looks at what was just sent: counts of what has ended are about as late.
REFILL_AFTER = 1.0

# Jobs in a row that may fail to be sent before the queue itself is given up for this step.
UNSENT = 3

Chore = Callable[[Sequence[JobRecord]], Awaitable[None]]
"""Something else that the leader does in every step; gets the unfinished jobs."""

Outlook = Callable[[], Awaitable[Supervision]]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step saw and did. `leading` False: it did nothing, someone else leads."""

    leading: bool
    demand: int = 0
    sent: int = 0
    decisions: Mapping[str, Decision] = field(default_factory=dict)


class Superseded(Exception):
    """Somebody else leads: the step ends where it is."""


class Supervisor:
    """`holder` names this one among those that would lead. `missing_after`: how long, in seconds, a channel must have
    been seen empty before tasks that ought to be on it are sent again; longer than any lease. `outlook`: for one that
    leads only where nobody else would: it tells whether somebody leads, and only after a whole lease of that nobody did
    is the lead taken. `backends`: what runs the jobs that name one. Create inside a running event loop."""

    def __init__(
        self,
        records: Records,
        queue: Queue,
        fleet: Fleet,
        now: Clock,
        *,
        holder: str,
        settings: SupervisorSettings,
        routes: Routes,
        missing_after: float,
        chores: Sequence[Chore] = (),
        outlook: Outlook | None = None,
        backends: Mapping[str, Backend] | None = None,
    ) -> None:
        self._records = records
        self._queue = queue
        self._machines = Machines(fleet, records, routes, now, silence=missing_after)
        self._now = now
        self._holder = holder
        self._settings = settings
        self._routes = routes
        self._resending = Resending(records, queue, routes, missing_after)
        self._depths = Depths()
        self._paces = Paces()
        self._courtesy = Courtesy(settings.lease)
        self._outlook = outlook
        self._led_by_others = asyncio.get_running_loop().time()
        self._leading = False
        self._chores = chores
        in_fleet = routes.fleet is not None
        self._delegation = Delegation(backends or {}, records, now, always=in_fleet)
        self._led_at = 0.0
        self.health = Health(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Step for ever; a failing step is logged and tried again, ever later."""
        pause = self._settings.interval
        longest = max(pause, min(LONGEST_PAUSE, LONGEST_PART * self._settings.lease))
        refilled = False
        while True:
            try:
                step = await self.step()
                pause = self._settings.interval
                self.health = self.health.succeeded(asyncio.get_running_loop().time(), leading=step.leading)
                self._courtesy.succeeded()
                if step.leading and (step.sent or refilled):
                    refilled = await self._refill(pause)
                    continue
            except RunnerError as error:
                pause = min(longest, 2 * pause)
                log.warning("step failed", error=str(error), retry_in=pause)
                self.health = self.health.failed(str(error))
                await self._make_way_after(error)
            await asyncio.sleep(pause)

    async def _refill(self, seconds: float) -> bool:
        """Instead of a pause after something was sent: nobody may have known how short its tasks are, and machines
        should not wait for more until the next step. Whether more was sent."""
        loop = asyncio.get_running_loop()
        until, sent = loop.time() + seconds, 0
        try:
            while loop.time() + REFILL_AFTER < until:
                await asyncio.sleep(REFILL_AFTER)
                await self._still_lead()
                faults = Faults()
                sent += await self._enqueue(own(await self._records.jobs(unfinished=True)), faults)
                faults.raise_first()
        except Superseded:
            self._leading = False
        await asyncio.sleep(until - loop.time())
        return sent > 0

    async def step(self) -> Step:
        try:
            await self._lead()
            return await self._step()
        except Superseded:
            self._leading = False
            return Step(leading=False)

    async def _step(self) -> Step:
        faults = Faults()
        every = await self._settled(faults)
        jobs = own(every)
        sent = await self._enqueue(jobs, faults)
        sent += await self._delegation.step(every, self._still_lead, faults)
        for chore in self._chores:
            await self._still_lead()
            with faults.passed_over("chore"):
                await chore(every)
        await self._still_lead()
        decisions = await self._scale(jobs, faults)
        faults.raise_first()
        return Step(True, sum(demand_of(record) for record in every), sent, decisions)

    async def resign(self) -> None:
        self._leading = False
        await self._records.resign(self._holder)

    async def _make_way_after(self, error: RunnerError) -> None:
        """Only in a fleet: on one machine, whoever else might lead may do just the same."""
        if self._routes.fleet is None or not self._leading:
            return
        if not self._courtesy.failed(error, asyncio.get_running_loop().time()):
            return
        log.warning("makes way for another that may do better", stands_by=self._courtesy.stands_by)
        try:
            await self.resign()
        except RunnerError as unresigned:
            log.warning("cannot resign", error=str(unresigned))
        await asyncio.sleep(self._courtesy.stands_by)

    async def _lead(self) -> None:
        """Take the lease or renew it. Raises Superseded."""
        if not self._leading and not await self._vacant():
            raise Superseded
        asked_at = self._now()
        if not await self._records.lead(self._holder, self._settings.lease):
            raise Superseded
        if not (self._leading and 0 <= asked_at - self._led_at < self._settings.lease):
            self._delegation.forget()  # another may have led
        self._leading = True
        self._led_at = asked_at

    async def _vacant(self) -> bool:
        """Whether nobody has led for so long that nobody else will: a daemon that was started again does at once."""
        if self._outlook is None:
            return True
        now = asyncio.get_running_loop().time()
        if (await self._outlook()).led:
            self._led_by_others = now
        return now - self._led_by_others >= self._settings.lease

    async def _still_lead(self) -> None:
        """Between any two jobs: so a step of many goes on leading, and one that was frozen ends. Raises Superseded.

        By the wall clock, which goes on while the machine sleeps, and may also have been set back.
        """
        if not 0 <= self._now() - self._led_at < self._settings.lease / 2:
            await self._lead()

    async def _settled(self, faults: Faults) -> Sequence[JobRecord]:
        """The unfinished jobs, after those that wait for others were released or ended. Parents are older than what
        comes after them, so a chain settles at once."""
        jobs = await self._records.tidy()
        known: dict[str, JobRecord | None] = {record.job.id: record for record in jobs}
        settled = False
        for record in reversed(jobs):
            if record.released_at is None and record.ending is None:
                await self._still_lead()
                with faults.passed_over("settling", job=record.job.id):
                    settled = await self._settle_one(record, known) or settled
        return await self._records.jobs(unfinished=True) if settled else jobs

    async def _settle_one(self, record: JobRecord, known: dict[str, JobRecord | None]) -> bool:
        """Whether anything became of it. `known` holds what was read in this step, and learns what is read or becomes
        of the job."""
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
        return bool(result)

    async def _enqueue(self, jobs: Sequence[JobRecord], faults: Faults) -> int:
        """In turn over the jobs, oldest first, each its share."""
        windows = scheduling.windows(jobs, self._routes, self._settings.window)
        sent = failures = 0
        for record in reversed(jobs):
            await self._still_lead()
            window = windows.get(record.job.id, 0)
            failures += 1
            with faults.passed_over("sending", job=record.job.id):
                sent += await scheduling.enqueue(self._records, self._queue, record, window, self._routes)
                failures = 0
            if failures >= UNSENT:
                break
        return sent

    async def _scale(self, jobs: Sequence[JobRecord], faults: Faults) -> Mapping[str, Decision]:
        """Whatever it is that cannot be seen, no decision is made without it; the demand is published all the same."""
        try:
            backlog = await self._queue.backlog()
            sent, running = demand.known_by_channel(jobs, self._routes)
            believed = self._depths.observe(backlog, sent, running)
            await self._resending.step(jobs, backlog, believed, self._still_lead, faults)
            loads = await self._loads(jobs, backlog, believed)
            decisions = await self._machines.scale(loads, backlog, faults)
        except RunnerError as error:
            await self._publish(jobs, dict.fromkeys(self._routes.environments, f"held: {error}"))
            raise
        await self._publish(jobs, self._machines.reasons(decisions), loads)
        await self._still_lead()
        await self._machines.replace_lost(faults)
        return decisions

    async def _loads(
        self, jobs: Sequence[JobRecord], backlog: Mapping[str, Backlog], believed: Believed
    ) -> Sequence[Load]:
        return demand.loads(
            jobs,
            self._routes,
            backlog,
            await self._machines.history(jobs),
            self._now(),
            believed=believed,
            paces=self._paces.observe(jobs, asyncio.get_running_loop().time()),
        )

    async def _publish(
        self, jobs: Sequence[JobRecord], reasons: Mapping[str, str], loads: Sequence[Load] | None = None
    ) -> None:
        if loads is None:  # without the queue's counts: every task is where its job's first attempts go
            loads = demand.loads(jobs, self._routes, {}, {}, self._now())
        waiting = demand.waiting_by_channel(loads) if self._routes.fleet else None
        trouble = self._machines.trouble or self._delegation.trouble
        note = encode_note(Note(demand.by_channel(loads), reasons, waiting, trouble))
        await self._records.publish(self._holder, sum(demand_of(record) for record in jobs), note)
