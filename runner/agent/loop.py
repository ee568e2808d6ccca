"""The agent's life: recover, take work while there is room for it, drain, end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from runner.agent import recovery
from runner.agent.execution import execute
from runner.agent.station import Station
from runner.agent.upkeep import Terms, Upkeep
from runner.errors import RunnerError
from runner.model import Lease
from runner.outcomes import StopCause
from runner.records import HostReport

log = structlog.get_logger()

POLL = 1.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
MOST_PER_RECEIVE = 64


class Agent:
    """Create inside a running event loop."""

    def __init__(self, station: Station, report: HostReport, terms: Terms) -> None:
        self._station = station
        self._terms = terms
        self._upkeep = Upkeep(station, report, terms, leave=self._leave, drain=self._drain)
        self._running: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()
        self._draining = asyncio.Event()
        self._hurried = asyncio.Event()

    def drain(self) -> None:
        """Take no more; let what runs go on for a while, then interrupt it. Asked a second time: interrupt now."""
        if self._draining.is_set():
            self._hurried.set()
        self._drain("asked to stop")

    async def run(self) -> None:
        """Until drained. Raises Unavailable or EngineError if it cannot even start."""
        station = self._station
        # The engine may take its time to say what there is; meanwhile leases must not run out, nor the watchdog wake.
        chores = [self._chore(work) for work in (station.heartbeat.run, station.heartbeat.guard)]
        try:
            for leftover in await recovery.find(station):
                self._spawn(recovery.resume(station, leftover))
            chores.append(self._chore(self._upkeep.run))
            await self._take_work()
            await self._upkeep.enter("draining")
            await self._finish_up()
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
        await station.removals.all_done()
        await self._upkeep.enter("retired")
        await station.host.retire()

    def _leave(self, reason: str) -> None:
        """Take no more. What runs has all the time it needs."""
        if not self._leaving.is_set():
            log.info("leaving", reason=reason)
            self._leaving.set()
            self._station.room.changed.set()

    def _drain(self, reason: str) -> None:
        """Take no more. What runs has the time that the terms allow."""
        self._leave(reason)
        self._draining.set()

    async def _take_work(self) -> None:
        room = self._station.room
        left = asyncio.ensure_future(self._leaving.wait())
        pause = FIRST_PAUSE
        try:
            while not left.done():
                wanted = room.wanted() if self._upkeep.open else 0
                if wanted == 0:
                    room.changed.clear()
                    await room.changed.wait()
                    continue
                try:
                    leases = await self._receive(min(wanted, MOST_PER_RECEIVE), left)
                    pause = FIRST_PAUSE
                except RunnerError as error:
                    log.warning("cannot receive", error=str(error), retry_in=pause)
                    await asyncio.wait((left,), timeout=pause)
                    pause = min(LONGEST_PAUSE, 2 * pause)
                    continue
                self._start(leases)
        finally:
            left.cancel()

    async def _receive(self, limit: int, left: asyncio.Future[Any]) -> Sequence[Lease]:
        """Messages, or none once leaving: what a cancelled receive took comes back when its time runs out."""
        lease = self._station.heartbeat.lease
        receiving = asyncio.ensure_future(self._station.queue.receive(limit, wait=POLL, hide=lease))
        try:
            await asyncio.wait((receiving, left), return_when=asyncio.FIRST_COMPLETED)
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
        await self._while_running(self._draining)
        await self._while_running(self._hurried, self._terms.drain)
        while self._running:
            for holding in self._station.heartbeat.held:
                holding.stop(StopCause.INTERRUPTED, "the agent was asked to stop")
            # Those that were between receive and begin a moment ago are held by the next look.
            await asyncio.wait(set(self._running), timeout=0.2)

    async def _while_running(self, until: asyncio.Event, seconds: float | None = None) -> None:
        """Until nothing runs any more, but no longer than that."""
        if not self._running:
            return
        everything = asyncio.ensure_future(asyncio.wait(set(self._running)))
        other = asyncio.ensure_future(until.wait())
        try:
            await asyncio.wait((everything, other), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything.cancel()
            other.cancel()

    def _chore(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work())
        task.add_done_callback(self._chore_ended)
        return task

    def _chore_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without its heartbeat or guard an agent must not hold anything: leave, and let another take over.
            log.critical("the agent cannot go on", exc_info=error)
            self._hurried.set()
            self._drain("internal error")
