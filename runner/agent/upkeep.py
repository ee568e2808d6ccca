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
EXAMINE_EVERY = 5.0
UNSEEN = "not looked at yet"


@dataclass(frozen=True, slots=True)
class Terms:
    """When an agent stops, in seconds; None: never by itself.

    `drain`: how long running tasks may go on once it was told to stop, or its host goes away. `idle`: without a task,
    a message or published demand. `unsupervised`: without a leading controller; then it takes no more, finishes what
    it has, however long that takes, and goes unless it is supervised again by then.
    """

    drain: float
    idle: float | None = None
    unsupervised: float | None = None


class Upkeep:
    """`unfit` is what the host lacks for work; an empty string: nothing.

    `leave` and `drain` are told the reason: an agent leaves by itself when its tasks are over, a host that goes away
    does not wait for them.
    """

    def __init__(
        self,
        station: Station,
        report: HostReport,
        terms: Terms,
        *,
        leave: Callable[[str], None],
        drain: Callable[[str], None],
    ) -> None:
        self._station = station
        self._report = report
        self._terms = terms
        self._leave = leave
        self._drain = drain
        self._state = "running"
        self._reported = float("-inf")
        self._busy_at = asyncio.get_running_loop().time()
        self._led_at = self._busy_at
        self._examined = float("-inf")
        self._engines_away = ""
        self._alone = False
        self.unfit = UNSEEN

    @property
    def open(self) -> bool:
        """Whether work may be taken now."""
        return not self.unfit and not self._alone

    def busy(self) -> None:
        self._busy_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except RunnerError as error:
                log.warning("upkeep failed", error=str(error))
            await asyncio.sleep(INTERVAL)

    async def enter(self, state: str) -> None:
        """Report a new state, and that state from now on."""
        self._state = state
        await self._tell()

    async def _tell(self) -> None:
        """Report to the ledger; a failure is only logged, nothing here depends on it."""
        room, station = self._station.room, self._station
        report = replace(
            self._report,
            state="unhealthy" if self.unfit and self._state == "running" else self._state,
            engines=tuple(name for name in station.engines if not station.ailing.get(name)),
            free_vcpus=max(0.0, round(room.free.vcpus, 6)),
            free_memory=max(0, room.free.memory),
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
            await self._tell()

    async def _examine_host(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._examined >= EXAMINE_EVERY:
            self._examined = now
            self._engines_away = await self._station.examine_engines()
        unfit = await self._station.host.health() or self._engines_away
        if unfit != self.unfit:
            if unfit or self.unfit != UNSEEN:
                log.warning("fitness changed", unfit=unfit)
            self.unfit = unfit
            self._reported = float("-inf")
        self._station.room.changed.set()  # whoever waits for room also waits for the host to be fit again
        notice = await self._station.host.notice()
        if notice is not None:
            self._drain(notice.reason)

    async def _consider_leaving(self, now: float) -> None:
        if self._terms.idle is None and self._terms.unsupervised is None:
            return
        supervision = await self._station.ledger.supervision()
        if supervision.led:
            self._led_at = now
        self._alone = self._terms.unsupervised is not None and now - self._led_at > self._terms.unsupervised
        if self._alone and not len(self._station.heartbeat):
            self._leave("no controller supervises")
        nothing_to_do = not supervision.led or supervision.demand == 0
        if self._terms.idle is not None and nothing_to_do and now - self._busy_at > self._terms.idle:
            self._leave("idle")
