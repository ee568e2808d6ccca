"""Every second: is the host about to go, is it fit for work, is anybody in charge, and is it time to leave?

Three rounds beside each other: neither a ledger that hangs nor a disk that is being cleaned keeps a notice from being
seen.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from runner.agent.departure import Departure
from runner.agent.emptiness import Emptiness
from runner.agent.station import Station
from runner.codec import demand_on
from runner.errors import RunnerError, Unavailable
from runner.ports import Supervision
from runner.records import HostReport

log = structlog.get_logger()

INTERVAL = 1.0
REPORT_EVERY = 5.0
EXAMINE_EVERY = 5.0
MEND_EVERY = 60.0
# Of the time in which the demand must stay nil: each reading is a request.
READING_SHARE = 0.1
# An idle machine waits so long at most for its logs to be stored: if that is never to be, it would stay for ever.
LOGS_KEEP = 3600.0
# With nothing to do and nobody who leads: far longer than a controller takes to come back, and far less than a night.
ABANDONED = 1800.0
# No engine answers: so long it may yet, and what runs be seen to its end.
GIVEN_UP_AFTER = 600.0
# A message that is to show again has done so by then, and somebody has taken it.
DOUBT = 10.0
# For how long receiving may fail before the host counts as unhealthy.
DEAF_AFTER = 30.0
UNSEEN = "not looked at yet"


@dataclass(frozen=True, slots=True)
class Terms:
    """When an agent stops, in seconds; None: never by itself.

    `drain`: how long running tasks may go on once it was told to stop. `idle`: without a task, a message or published
    demand. With `confirm` the demand must have been nil in two readings more than so far apart, the first perhaps while
    it was still at work and the last when it no longer was; and it counts as unknown while nobody leads, which is borne
    with for half an hour. Without, one reading is enough, and where nobody leads there is none. `unsupervised`: without
    a leading controller; then it takes no more, finishes what it has, however long that takes, and goes unless it is
    supervised again by then. `grace`: what a task may take to stop at most, whatever its own is, once `drain` is over.
    """

    drain: float
    idle: float | None = None
    unsupervised: float | None = None
    confirm: float = 0.0
    grace: float = math.inf


class Upkeep:
    """`unfit` is what the host lacks for work; an empty string: nothing."""

    def __init__(self, station: Station, report: HostReport, terms: Terms, departure: Departure) -> None:
        self._station = station
        self._report = report
        self._terms = terms
        self._departure = departure
        self._emptiness = Emptiness(terms.confirm)
        self._reported = self._mended = self._read = self._examined = float("-inf")
        self._busy_at = self._led_at = asyncio.get_running_loop().time()
        self._engines_away, self._away_since = "", float("inf")
        self._alone = False
        self._deaf, self._deaf_since = "", float("inf")
        self.unfit = UNSEEN

    @property
    def open(self) -> bool:
        """Whether work may be taken now."""
        return not self.unfit and not self._alone

    @property
    def helpless(self) -> bool:
        """Whether no engine has answered for so long that what runs here is given up once the machine may go."""
        return asyncio.get_running_loop().time() - self._away_since > GIVEN_UP_AFTER

    def busy(self) -> None:
        self._busy_at = asyncio.get_running_loop().time()

    def heard(self, problem: str) -> None:
        """Whether messages could be received; `problem` says why not."""
        now = asyncio.get_running_loop().time()
        self._deaf, self._deaf_since = problem, min(self._deaf_since, now) if problem else float("inf")

    def _trouble(self) -> str:
        """A host that cannot receive still tries, but people and the controller must see that it does nothing."""
        deaf = asyncio.get_running_loop().time() - self._deaf_since > DEAF_AFTER
        return self.unfit or (self._deaf if deaf else "")

    async def run(self) -> None:
        async with asyncio.TaskGroup() as rounds:
            for look in (self._heed_notices, self._examine_host, self._keep_in_touch):
                rounds.create_task(self._every_second(look))

    async def tell(self, state: str | None = None) -> None:
        """Report to the ledger; a failure is only logged, nothing here depends on it."""
        room, station = self._station.room, self._station
        report = replace(
            self._report,
            state=state or self._state(),
            engines=tuple(name for name in station.engines if not station.ailing.get(name)),
            free_vcpus=max(0.0, round(room.free.vcpus, 6)),
            free_memory=max(0, room.free.memory),
            tasks=len(station.heartbeat),
            seen_at=station.now(),
            note=self._departure.reason or self._trouble(),
        )
        try:
            await station.ledger.report(report)
        except RunnerError as error:
            log.warning("cannot report", error=str(error))

    def _state(self) -> str:
        if self._departure.begun.is_set():
            return "draining"
        return "unhealthy" if self._trouble() else "running"

    def tell_soon(self) -> None:
        """At the next turn, however often there was a report before."""
        self._reported = float("-inf")

    async def _every_second(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await look()
            except RunnerError as error:
                log.warning("upkeep failed", look=look.__name__.strip("_"), error=str(error))
            await asyncio.sleep(INTERVAL)

    async def _heed_notices(self) -> None:
        notice = await self._station.host.notice()
        if notice is not None:
            self._departure.heed(notice)

    async def _examine_host(self) -> None:
        host, now = self._station.host, asyncio.get_running_loop().time()
        if now - self._examined >= EXAMINE_EVERY:
            self._examined = now
            self._engines_away = await self._station.examine_engines()
            self._away_since = min(self._away_since, now) if self._engines_away else float("inf")
        self._judge(await host.health() or self._engines_away)
        if self.unfit and now - self._mended >= MEND_EVERY:
            self._mended = now
            await host.mend()
            self._judge(await host.health() or self._engines_away)
        self._station.room.changed.set()  # whoever waits for room also waits for the host to be fit again

    def _judge(self, unfit: str) -> None:
        if unfit != self.unfit:
            if unfit or self.unfit != UNSEEN:
                log.warning("fitness changed", unfit=unfit)
            self.unfit = unfit
            self.tell_soon()

    async def _keep_in_touch(self) -> None:
        now = asyncio.get_running_loop().time()
        busy = len(self._station.heartbeat) > 0
        if busy:
            self.busy()
        await self._station.host.protect(busy)
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            await self.tell()
        await self._consider_leaving(now)

    async def _consider_leaving(self, now: float) -> None:
        idle, unsupervised = self._terms.idle, self._terms.unsupervised
        if (idle is None and unsupervised is None) or not self._should_read(now):
            return
        self._read = now
        if self._abandoned(now) and await self._dispensable(now - self._busy_at):
            self._departure.retire("idle, and no controller leads")
            return
        supervision = await self._station.ledger.supervision()
        if supervision.led:
            self._led_at = now
        self._alone = unsupervised is not None and now - self._led_at > unsupervised
        if self._alone and not len(self._station.heartbeat):
            self._departure.begin("no controller supervises")
        self._emptiness.read(self._demand(supervision), now)
        empty = self._emptiness.lasting and idle is not None and now - self._busy_at > idle
        if empty and await self._dispensable(now - self._busy_at):
            self._departure.retire("idle")

    def _abandoned(self, now: float) -> bool:
        """Whoever leads next counts machines and tasks anew. Until then an idle one is only paid for."""
        return bool(self._terms.confirm) and now - max(self._busy_at, self._led_at) > ABANDONED

    async def _dispensable(self, idle_for: float) -> bool:
        """Raises Unavailable while that cannot be known, or while logs wait that would go with the machine."""
        since = self._busy_at
        if self._in_doubt(asyncio.get_running_loop().time()):
            return False
        if not await self._station.host.spared():
            return False
        try:
            await self._station.logs.flush()
        except Unavailable:
            if idle_for < LOGS_KEEP:
                raise
        return self._busy_at == since  # nothing has come meanwhile

    def _in_doubt(self, now: float) -> bool:
        """Whoever found a task held that may have been left is there to take it over, when its message shows again."""
        doubted = self._station.doubted
        for task in [task for task, shown_at in doubted.items() if now - shown_at > DOUBT]:
            del doubted[task]
        return bool(doubted)

    def _should_read(self, now: float) -> bool:
        """At every turn whoever must have a controller; the others also while they are busy, so that what they learn
        then need not be learned once they are paid for nothing."""
        if self._terms.unsupervised is not None or not self._terms.confirm:
            return True
        return now - self._read >= READING_SHARE * self._terms.confirm

    def _demand(self, supervision: Supervision) -> int | None:
        """On the queues this agent serves; None: not known."""
        if not supervision.led:
            return None if self._terms.confirm else 0
        return demand_on(self._report.queues, supervision)
