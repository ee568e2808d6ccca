"""Jobs that do not run on this installation's own machines: each is its backend's to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from controller.faults import Faults
from controller.ports import Backend, Lead, Records
from runner.ports import Clock
from runner.records import JobRecord

# Of jobs that ended as a whole so long ago, in seconds, nothing may go on elsewhere any more.
LEFT_BEHIND = 86400.0
MOST_ENDED = 1000


def own(jobs: Iterable[JobRecord]) -> list[JobRecord]:
    """Those that run on this installation's own machines."""
    return [record for record in jobs if not record.job.backend]


class Delegation:
    """`backends` by the names that jobs have for them. `always`: look at every one of them in every step; else only
    while there are jobs for it, so that who needs none of it is not told of missing credentials."""

    def __init__(
        self, backends: Mapping[str, Backend], records: Records, now: Clock, *, always: bool
    ) -> None:
        self._backends = backends
        self._records = records
        self._now = now
        self._always = always
        self._used: set[str] | None = None

    @property
    def trouble(self) -> str:
        """Why one of those in use was not looked at the last time; empty if all were."""
        troubles = (self._backends[name].trouble for name in self._used or ())
        return next((trouble for trouble in troubles if trouble), "")

    def forget(self) -> None:
        """For whoever begins to lead."""
        for name in self._used or ():
            self._backends[name].forget()
        self._used = None

    async def step(self, jobs: Sequence[JobRecord], lead: Lead, faults: Faults) -> int:
        """Start and refresh all that is not `own`. Returns how many tasks were taken up. Raises what `lead` raises."""
        if not self._backends:
            return 0
        if self._used is None:
            self._used = set(self._backends) if self._always else await self._left_behind()
        self._used |= {record.job.backend for record in jobs} & set(self._backends)
        return sum([await self._delegate(name, jobs, lead, faults) for name in sorted(self._used)])

    async def _delegate(self, name: str, jobs: Sequence[JobRecord], lead: Lead, faults: Faults) -> int:
        backend, started = self._backends[name], 0
        theirs = [record for record in jobs if record.job.backend == name]
        for record in reversed(theirs):
            await lead()
            with faults.passed_over("handing over", job=record.job.id):
                started += await backend.start(record, lead)
        await lead()
        with faults.passed_over("looking at what was handed over", backend=name):
            await backend.refresh(theirs, lead)
        return started

    async def _left_behind(self) -> set[str]:
        """Backends where something may go on of a job that was ended as a whole while nobody led."""
        ended: Collection[JobRecord] = [
            record
            for record in await self._records.jobs(limit=MOST_ENDED)
            if record.ending is not None and self._now() - record.ending.at < LEFT_BEHIND
        ]
        return {record.job.backend for record in ended} & set(self._backends)
