"""The agent's life: recover, take work while there is room for it, drain, end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog

from runner.agent import recovery
from runner.agent.departure import Departure
from runner.agent.execution import execute
from runner.agent.station import Station
from runner.agent.upkeep import Terms, Upkeep
from runner.errors import RunnerError
from runner.model import Lease
from runner.records import HostReport

log = structlog.get_logger()

POLL = 1.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
MOST_PER_RECEIVE = 64
# How often a draining agent looks who has no more time.
LOOK = 0.5
# How long each thing that lingers may take to go out, in the end.
LEAVE = 8.0
# The same for logs, where the machine goes with them and has the time.
STORING = 3600.0


class Agent:
    """Create inside a running event loop."""

    def __init__(self, station: Station, report: HostReport, terms: Terms) -> None:
        self._station = station
        self._terms = terms
        self._departure = Departure(station.now)
        self._upkeep = Upkeep(station, report, terms, self._departure)
        self._running: set[asyncio.Task[None]] = set()
        self._asked = False
        self._broken: BaseException | None = None

    def drain(self) -> None:
        """Take no more; let what runs go on for a while, then interrupt it. Asked a second time: interrupt now.

        The machine stays: whoever stops an agent by hand, or for a newer one, did not ask for more.
        """
        within = 0.0 if self._asked else self._terms.drain
        self._departure.begin("the agent was asked to stop", within=within, grace=self._terms.grace)
        self._asked = True

    async def run(self) -> None:
        """Until drained; then the machine is given back, if that is why. Raises Unavailable or EngineError if it
        cannot even start, RunnerError if it broke."""
        station = self._station
        # To the very end: the engine may take its time to say what there is, and the machine to go, and meanwhile
        # leases must not run out, nor the watchdog wake.
        beats = [self._chore(work) for work in (station.heartbeat.run, station.heartbeat.guard)]
        try:
            await self._work()
            if not self._running:
                await station.removals.all_done()
            await self._take_leave()
            if self._departure.for_good:
                await station.host.retire()
            await _end(*self._running)
        finally:
            await _end(*beats)
        if self._broken is not None and not self._departure.for_good:
            message = f"the agent cannot go on: {self._broken!r}"
            raise RunnerError(message) from self._broken

    async def _work(self) -> None:
        for leftover in await recovery.find(self._station):
            self._spawn(recovery.resume(self._station, leftover))
        upkeep = self._chore(self._upkeep.run)
        try:
            await self._take_work()
            self._upkeep.tell_soon()
            await self._finish_up()
        finally:
            await _end(upkeep)

    async def _take_leave(self) -> None:
        """Whatever becomes of it: nothing here is needed for correctness."""
        await _at_most(LEAVE, self._station.flush())
        await _at_most(STORING if self._departure.patient else LEAVE, self._store_logs())
        await _at_most(LEAVE, self._upkeep.tell("retired"))

    async def _store_logs(self) -> None:
        """What a machine has not stored it takes with it."""
        while True:
            try:
                await self._station.logs.flush()
            except RunnerError as error:
                if not self._departure.patient:
                    raise
                log.warning("logs are not stored yet", error=str(error))
                await self._upkeep.tell()
                await asyncio.sleep(POLL)
            else:
                return

    async def _take_work(self) -> None:
        room = self._station.room
        drained = asyncio.ensure_future(self._departure.begun.wait())
        drained.add_done_callback(lambda _: room.changed.set())
        pause = FIRST_PAUSE
        try:
            while not drained.done():
                wanted = room.wanted() if self._upkeep.open else 0
                if wanted == 0:
                    room.changed.clear()
                    await room.changed.wait()
                    continue
                try:
                    leases = await self._receive(min(wanted, MOST_PER_RECEIVE), drained)
                    pause = FIRST_PAUSE
                    self._upkeep.heard("")
                except RunnerError as error:
                    log.warning("cannot receive", error=str(error), retry_in=pause)
                    self._upkeep.heard(str(error))
                    await asyncio.wait((drained,), timeout=pause)
                    pause = min(LONGEST_PAUSE, 2 * pause)
                    continue
                self._start(leases)
        finally:
            drained.cancel()

    async def _receive(self, limit: int, drained: asyncio.Future[Any]) -> Sequence[Lease]:
        """Messages, or none once draining: what a cancelled receive took comes back when its time runs out."""
        lease = self._station.heartbeat.lease
        receiving = asyncio.ensure_future(self._station.queue.receive(limit, wait=POLL, hide=lease))
        try:
            await asyncio.wait((receiving, drained), return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else ()
        finally:
            receiving.cancel()

    def _start(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._upkeep.busy()
            self._station.room.expect(lease.task)
            self._spawn(self._execute(lease))

    async def _execute(self, lease: Lease) -> None:
        try:
            await execute(self._station, lease)
        finally:
            self._station.room.forget(lease.task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # One task's surprise must not end the others. Without beats its attempt is taken over in time.
            log.error("execution failed", exc_info=error)

    async def _finish_up(self) -> None:
        """Until nothing runs, or nobody can end it: then the machine does, before the leases that are renewed to the
        last run out, and whoever finds them so runs the tasks again."""
        while self._running:
            if self._departure.for_good and self._upkeep.helpless:
                log.error("what runs goes with the machine: no engine answers", tasks=len(self._running))
                return
            # At each look anew: those that were between receive and begin a moment ago are held by the next.
            for holding in self._station.heartbeat.held:
                self._departure.interrupt(holding)
            await asyncio.wait(set(self._running), timeout=LOOK)

    def _chore(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work())
        task.add_done_callback(self._chore_ended)
        return task

    def _chore_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without its heartbeat or guard an agent must not hold anything: leave, and let another take over.
            log.critical("the agent cannot go on", exc_info=error)
            self._broken = error
            self._departure.begin("internal error", within=0.0)


async def _end(*chores: asyncio.Task[None]) -> None:
    for chore in chores:
        chore.cancel()
    await asyncio.gather(*chores, return_exceptions=True)


async def _at_most(seconds: float, step: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await step
    except (RunnerError, TimeoutError) as error:
        log.warning("not done before leaving", error=str(error) or "no answer")
