"""The supervisor's hand on the fleet: sees what there is, decides, acts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from controller import replacement, scaling
from controller.demand import Load, demand_of, mean_seconds
from controller.model import Decision, EnvironmentCapacity
from controller.ports import Fleet, Records
from controller.replacement import Judgement, Memory, Patience
from controller.scaling import Picture
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

    async def history(self, jobs: Sequence[JobRecord]) -> Mapping[str, float]:
        """By job id, for those of which no task has ended yet: how long tasks took in earlier jobs of that name."""
        known: dict[str, float] = {}
        for record in jobs if self._routes.fleet else ():
            if mean_seconds(record) is None and demand_of(record):
                if record.job.id not in self._history:
                    self._history[record.job.id] = await self._earlier(record)
                known[record.job.id] = self._history[record.job.id]
        self._history = known
        return {job_id: seconds for job_id, seconds in known.items() if seconds > 0}

    async def scale(self, loads: Sequence[Load], backlog: Mapping[str, Backlog]) -> Mapping[str, Decision]:
        capacity = await self._fleet.capacity()
        steady = asyncio.get_running_loop().time()
        hosts = await self._reports(steady) if self._routes.fleet else ()
        self._judgement = replacement.judge(capacity, hosts, self._judgement.memory, steady, self._patience)
        picture = Picture(loads, self._routes, capacity, backlog, self._now(), leaving(capacity, hosts))
        decisions = scaling.decide(picture)
        for name, decision in decisions.items():
            await self._fleet.resize(name, decision.desired)
            if decision.desired > capacity[name].desired:
                log.info("more machines", environment=name, desired=decision.desired, reason=decision.reason)
        return decisions

    def reasons(self, decisions: Mapping[str, Decision]) -> Mapping[str, str]:
        """What is told of each environment."""
        remarks = self._judgement.remarks
        return {
            name: "; ".join(text for text in (decision.reason, remarks.get(name, "")) if text)
            for name, decision in decisions.items()
        }

    async def replace_lost(self) -> None:
        for lost in self._judgement.replace:
            log.error(
                "machine is replaced",
                environment=lost.environment,
                instance=lost.instance,
                reason=lost.reason,
            )
            await self._fleet.replace(lost.environment, lost.instance)

    async def _reports(self, steady: float) -> Sequence[HostReport]:
        if steady - self._hosts_read >= REPORTS_LAST:
            self._hosts, self._hosts_read = await self._records.hosts(), steady
        return self._hosts

    async def _earlier(self, record: JobRecord) -> float:
        """0: nothing is known."""
        for other in await self._records.jobs(name=record.job.name, limit=EARLIER):
            seconds = mean_seconds(other)
            if other.job.id != record.job.id and seconds:
                return seconds
        return 0.0


def leaving(capacity: Mapping[str, EnvironmentCapacity], hosts: Sequence[HostReport]) -> Mapping[str, int]:
    """By environment, how many machines are in service and take no more work: draining, or unhealthy."""
    unfit = {host.host for host in hosts if host.state != "running"}
    counted = Counter(
        each.name
        for each in capacity.values()
        for instance in each.instances
        if instance.in_service and not instance.leaving and instance.id in unfit
    )
    return dict(counted)
