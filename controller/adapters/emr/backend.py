"""Amazon EMR as a backend: a job is one task, and an attempt at it a cluster of its own, or steps on one that is there.

What it does follows from what it sees in the ledger and in Amazon EMR; what it remembers only saves looking again. It
may be killed between any two calls. The ledger's attempt begins before anything is asked for, and the name of what is
asked for says whose it is: so whoever comes next finds it, starts nothing twice, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence

import structlog

from controller.adapters.emr.borrowed import Borrowed, Listing
from controller.adapters.emr.own_clusters import Live, OwnClusters
from controller.adapters.emr.recording import Recorder, task_of
from controller.adapters.emr.service import EmrService
from controller.adapters.emr.waiting import reasons_of
from controller.adapters.emr.watch import Watch, new_watch, watch_of
from controller.adapters.managed.restraint import Restraint, unless_throttled
from controller.faults import Faults
from controller.model import Reason
from controller.ports import Lead, Records
from runner.aws import Aws
from runner.emr_settings import EmrSettings
from runner.model import Status
from runner.ports import Clock, Ledger
from runner.records import JobRecord

log = structlog.get_logger()

# How often to look for clusters that nobody waits for while there are no jobs, in seconds.
SWEEP = 300.0
LONGEST_PAUSE = 300.0
# Seconds for a look: others wait for theirs.
AT_LONGEST = 10.0


class EmrBackend:
    """Implements `controller.ports.Backend`. `jitter` gives random numbers in [0, 1). Create inside a running event
    loop."""

    def __init__(
        self,
        aws: Aws,
        records: Records,
        ledger: Ledger,
        settings: EmrSettings,
        now: Clock,
        jitter: Callable[[], float],
        holder: str = "",
    ) -> None:
        self._records = records
        self._settings = settings
        self._now = now
        self.service = EmrService(aws, jitter)
        self._recorder = Recorder(records, ledger, now, jitter, holder or secrets.token_hex(4))
        self._own = OwnClusters(self.service, records, self._recorder, settings, now)
        self._borrowed = Borrowed(self.service, self._recorder, settings, now)
        self._watches: dict[str, Watch] = {}
        self._looked_at = self._swept_at = float("-inf")
        self._restraint = Restraint("Amazon EMR", settings.interval, LONGEST_PAUSE, jitter)

    @property
    def trouble(self) -> str:
        return self._restraint.trouble

    async def start(self, record: JobRecord, lead: Lead) -> int:
        """Begin the job's next attempt, if it is due. Returns 1 if it was begun. Raises AwsError, StorageError, and
        what `lead` raises."""
        self._forget_if_stale()
        counts = record.counts
        if self._restraint.pausing or record.released_at is None or record.ending is not None:
            return 0
        if counts.running or counts.finished == counts.size:
            return 0
        return await self._restraint.gently(self._start(record, lead))

    async def _start(self, record: JobRecord, lead: Lead) -> int:
        assert record.job.emr is not None
        await self._recorder.claim(record)
        attempt = await self._recorder.begin(record)
        if attempt is None:
            return 0
        watch = self._watches[record.job.id] = new_watch(self._settings.name, record, attempt)
        await self._advance(record, watch, {}, {record.job.emr.cluster: ()}, lead)
        return 1

    async def refresh(self, records: Sequence[JobRecord], lead: Lead) -> None:
        """Copy into the ledger what happened; `records`: all unfinished jobs of this backend. Looks at Amazon EMR once
        in `interval` seconds at most, however often it is called, and ever less often while it is throttled; returns
        after some seconds, to go on with the next call. Raises AwsError, StorageError, and what `lead` raises."""
        self._forget_if_stale()
        now = asyncio.get_running_loop().time()
        if self._restraint.pausing or now - self._looked_at < self._settings.interval:
            return
        begun = any(record.released_at is not None for record in records)
        if not begun and now - self._swept_at < SWEEP:
            return
        self._looked_at = now
        await self._restraint.gently(self._refresh(records, lead))

    async def stop(self, record: JobRecord) -> None:
        """End what the job's attempt has there, also where nobody supervises. Raises AwsError, StorageError."""
        task = await self._records.task(task_of(record))
        running = task is not None and task.status is Status.RUNNING
        watch = watch_of(self._settings.name, record, task) if task is not None and running else None
        if watch is None or record.job.emr is None:
            return
        if record.job.emr.cluster:
            await self._borrowed.stop(record, watch)
        else:
            await self._own.stop(watch)

    def forget(self) -> None:
        """For whoever begins to lead: somebody else may have, and what was remembered may be wrong."""
        self._watches.clear()
        self._swept_at = self._looked_at = float("-inf")

    async def reasons(self, record: JobRecord, now: float) -> Sequence[Reason]:
        """What its cluster is doing. Raises AwsError, StorageError."""
        return await reasons_of(
            self.service, self._settings, record, await self._records.task(task_of(record)), now
        )

    async def _refresh(self, records: Sequence[JobRecord], lead: Lead) -> int:
        faults = Faults()
        live = {each.id: each for each in await self.service.live(f"{self._settings.name}/")}
        watches = await self._watched(records)
        listing = await self._borrowed.listing(self._borrowed_since(records, watches), faults)
        until = asyncio.get_running_loop().time() + AT_LONGEST
        for record in records:
            if (watch := watches.get(record.job.id)) is None:
                continue
            if asyncio.get_running_loop().time() > until:
                self._looked_at = float("-inf")  # to go on with the next call
                break
            await lead()
            with faults.passed_over("asking Amazon EMR", job=record.job.id):
                await self._advance(record, watch, live, listing, lead)
            unless_throttled(faults)
        await self._own.end_strays(live, self._watches.values(), lead, faults)
        self._swept_at = asyncio.get_running_loop().time()
        faults.raise_first()
        self._restraint.looked()
        return len(watches)

    async def _watched(self, records: Sequence[JobRecord]) -> Mapping[str, Watch]:
        """By job, the attempts that run, as the ledger has them."""
        found: dict[str, Watch] = {}
        for record in records:
            # Whatever is counted: that may be late.
            task = await self._records.task(task_of(record))
            if task is None or task.status is not Status.RUNNING:
                continue
            known = self._watches.get(record.job.id)
            if known is None or known.attempt.number != task.attempt:
                known = watch_of(self._settings.name, record, task)
            if known is not None:
                found[record.job.id] = known
        self._watches = found
        return dict(found)

    def _borrowed_since(
        self, records: Sequence[JobRecord], watches: Mapping[str, Watch]
    ) -> Mapping[str, float]:
        since: dict[str, float] = {}
        for record in records:
            emr = record.job.emr
            if emr is not None and emr.cluster and record.job.id in watches:
                since[emr.cluster] = min(record.job.created_at, since.get(emr.cluster, self._now()))
        return since

    async def _advance(
        self, record: JobRecord, watch: Watch, live: Live, listing: Listing, lead: Lead
    ) -> None:
        assert record.job.emr is not None
        if record.job.emr.cluster:
            over = await self._borrowed.advance(record, watch, listing, lead)
        else:
            over = await self._own.advance(record, watch, live, lead)
        if over:
            self._watches.pop(record.job.id, None)

    def _forget_if_stale(self) -> None:
        if self._restraint.stale():
            self.forget()
