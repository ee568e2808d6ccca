"""The supervisor's hand on the fleet: sees what there is, decides, acts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import structlog

from controller import replacement, scaling
from controller.demand import Load, demand_of
from controller.faults import Faults
from controller.model import Decision, EnvironmentCapacity
from controller.pace import mean_seconds
from controller.ports import Fleet, Records
from controller.replacement import Judgement, Memory, Patience
from controller.scaling import Picture
from runner.errors import RunnerError
from runner.ports import Clock
from runner.records import Backlog, HostReport, JobRecord
from runner.routing import Routes

log = structlog.get_logger()

# Of the jobs of a name, so many are looked at for how long their tasks took.
EARLIER = 5

# Hosts report every few seconds and are many; what they say is read anew after so many seconds.
REPORTS_LAST = 15.0

# An agent registers well within this, in boot times, or never.
BOOTS = 3.0
LEAST_BOOT = 600.0
LEAST_SILENCE = 300.0


class Machines:
    """`silence`: an agent that has not been heard of for so many seconds, five minutes at least, is given up."""

    def __init__(self, fleet: Fleet, records: Records, routes: Routes, now: Clock, *, silence: float) -> None:
        boot = BOOTS * routes.fleet.boot if routes.fleet else 0.0
        self._fleet = fleet
        self._records = records
        self._routes = routes
        self._now = now
        self._patience = Patience(max(LEAST_BOOT, boot), max(LEAST_SILENCE, silence))
        self._judgement = Judgement((), Memory(), {})
        self._history: dict[str, float] = {}
        self._hosts: Sequence[HostReport] = ()
        self._hosts_read = float("-inf")
        self._unfit: Collection[str] = frozenset()
        self._refused: dict[str, str] = {}

    async def history(self, jobs: Sequence[JobRecord]) -> Mapping[str, float]:
        """By job id, for those of which no task ever ended: how long tasks took in earlier jobs of that name."""
        known: dict[str, float] = {}
        for record in jobs if self._routes.fleet else ():
            if mean_seconds(record) is None and record.round == 1 and demand_of(record):
                if record.job.id not in self._history:
                    self._history[record.job.id] = await self._earlier(record)
                known[record.job.id] = self._history[record.job.id]
        self._history = known
        return {job_id: seconds for job_id, seconds in known.items() if seconds > 0}

    async def scale(
        self, loads: Sequence[Load], backlog: Mapping[str, Backlog], faults: Faults
    ) -> Mapping[str, Decision]:
        """An environment that cannot be resized is passed over."""
        capacity = await self._fleet.capacity()
        steady = asyncio.get_running_loop().time()
        hosts = await self._reports(steady) if self._routes.fleet else ()
        self._judgement = replacement.judge(capacity, hosts, self._judgement.memory, steady, self._patience)
        picture = Picture(loads, self._routes, capacity, backlog, self._now(), leaving(capacity, self._unfit))
        decisions = scaling.decide(picture)
        self._refused = {}
        for name, decision in decisions.items():
            with faults.passed_over("resizing", environment=name):
                await self._resize(capacity[name], decision)
        return decisions

    async def _resize(self, capacity: EnvironmentCapacity, decision: Decision) -> None:
        try:
            await self._fleet.resize(capacity.name, decision.desired)
        except RunnerError as error:
            self._refused[capacity.name] = f"not resized: {error}"
            raise
        if decision.desired > capacity.desired:
            log.info(
                "more machines", environment=capacity.name, desired=decision.desired, reason=decision.reason
            )

    @property
    def trouble(self) -> str:
        return self._fleet.trouble if self._routes.fleet else ""

    def reasons(self, decisions: Mapping[str, Decision]) -> Mapping[str, str]:
        """What is told of each environment."""
        refused, remarks = self._refused, self._judgement.remarks
        return {
            name: "; ".join(
                text for text in (decision.reason, refused.get(name, ""), remarks.get(name, "")) if text
            )
            for name, decision in decisions.items()
        }

    async def replace_lost(self, faults: Faults) -> None:
        for lost in self._judgement.replace:
            log.error(
                "machine is replaced",
                environment=lost.environment,
                instance=lost.instance,
                reason=lost.reason,
            )
            with faults.passed_over("replacing", instance=lost.instance):
                await self._fleet.replace(lost.environment, lost.instance)

    async def _reports(self, steady: float) -> Sequence[HostReport]:
        if steady - self._hosts_read >= REPORTS_LAST:
            before, self._hosts = self._hosts, await self._records.hosts()
            self._hosts_read = steady
            self._unfit = unfit(self._hosts, before)
        return self._hosts

    async def _earlier(self, record: JobRecord) -> float:
        """0: nothing is known."""
        for other in await self._records.jobs(name=record.job.name, limit=EARLIER):
            seconds = mean_seconds(other)
            if other.job.id != record.job.id and seconds:
                return seconds
        return 0.0


def unfit(hosts: Sequence[HostReport], before: Sequence[HostReport]) -> Collection[str]:
    """Hosts that take no more work. One that is unhealthy counts only if it was so at the look before: every agent is
    for a moment, until it has looked at its host."""
    ailing = {host.host for host in before if host.state == "unhealthy"}
    return {
        host.host
        for host in hosts
        if host.state != "running" and (host.state != "unhealthy" or host.host in ailing)
    }


def leaving(capacity: Mapping[str, EnvironmentCapacity], unfit: Collection[str]) -> Mapping[str, int]:
    """By environment, how many machines are in service and take no more work."""
    counted = Counter(
        each.name
        for each in capacity.values()
        for instance in each.instances
        if instance.in_service and not instance.leaving and instance.id in unfit
    )
    return dict(counted)
