"""Once a second: is this host fit for work, is anybody in charge, and is it time to go?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from runner.agent.station import Station
from runner.errors import RunnerError
from runner.records import HostReport

log = structlog.get_logger()

INTERVAL = 1.0
REPORT_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Terms:
    """When an agent stops, in seconds; None: never by itself.

    `drain`: how long running tasks may go on once it was told to stop. `idle`: without a task, a message or published
    demand. `unsupervised`: without a leading controller, after which it finishes what it has and takes no more.
    """

    drain: float
    idle: float | None = None
    unsupervised: float | None = None


class Upkeep:
    """`unfit` is why no work can be taken now; an empty string: it can."""

    def __init__(
        self, station: Station, report: HostReport, terms: Terms, leave: Callable[[str], None]
    ) -> None:
        self._station = station
        self._report = report
        self._terms = terms
        self._leave = leave
        self._reported = float("-inf")
        self._busy_at = asyncio.get_running_loop().time()
        self._led_at = self._busy_at
        self.unfit = ""

    def busy(self) -> None:
        self._busy_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except RunnerError as error:
                log.warning("upkeep failed", error=str(error))
            self._station.room.changed.set()  # whoever waits for room also waits for the host to be fit again
            await asyncio.sleep(INTERVAL)

    async def tell(self, state: str) -> None:
        """Report to the ledger; a failure is only logged, nothing here depends on it."""
        room, station = self._station.room, self._station
        report = replace(
            self._report,
            state=state,
            free_vcpus=round(room.free.vcpus, 6),
            free_memory=room.free.memory,
            tasks=len(station.heartbeat),
            seen_at=station.now(),
            note=self.unfit,
        )
        try:
            await station.ledger.report(report)
        except RunnerError as error:
            log.warning("cannot report", error=str(error))

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._station.heartbeat):
            self.busy()
        await self._examine_host()
        await self._consider_leaving(now)
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            await self.tell("unhealthy" if self.unfit else "running")

    async def _examine_host(self) -> None:
        unfit = await self._station.host.health()
        if unfit != self.unfit:
            log.warning("fitness changed", unfit=unfit)
            self.unfit = unfit
            self._reported = float("-inf")
        notice = await self._station.host.notice()
        if notice is not None:
            self._leave(notice.reason)

    async def _consider_leaving(self, now: float) -> None:
        if self._terms.idle is None and self._terms.unsupervised is None:
            return
        supervision = await self._station.ledger.supervision()
        if supervision.led:
            self._led_at = now
        if self._terms.unsupervised is not None and now - self._led_at > self._terms.unsupervised:
            self._leave("no controller supervises")
        nothing_to_do = not supervision.led or supervision.demand == 0
        if self._terms.idle is not None and nothing_to_do and now - self._busy_at > self._terms.idle:
            self._leave("idle")
