"""Sending again what the queue has lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from controller import demand, scheduling
from controller.depths import Believed
from controller.faults import Faults
from controller.missing import EmptyChannels, SilentJobs, has_lost
from controller.ports import Lead, Records
from runner.errors import NotFound
from runner.ports import Queue
from runner.records import Backlog, JobRecord
from runner.routing import Routes

log = structlog.get_logger()


class Resending:
    """`missing_after`: how long, in seconds, a channel must have been seen empty before tasks that ought to be on it
    are sent again; longer than any lease."""

    def __init__(self, records: Records, queue: Queue, routes: Routes, missing_after: float) -> None:
        self._records = records
        self._queue = queue
        self._routes = routes
        self._empty = EmptyChannels(missing_after)
        self._silent = SilentJobs()

    async def step(
        self,
        jobs: Sequence[JobRecord],
        backlog: Mapping[str, Backlog],
        believed: Believed,
        lead: Lead,
        faults: Faults,
    ) -> None:
        """Raises what `lead` raises."""
        now, (sent, _) = asyncio.get_running_loop().time(), demand.known_by_channel(jobs, self._routes)
        channels = {record.job.id: self._channel(record) for record in jobs}
        lacking = {job_id for job_id, channel in channels.items() if believed.excess.get(channel, 0) < 0}
        empty = self._empty.observe(backlog, now)
        silent = self._silent.observe(jobs, lacking, now) if self._routes.fleet else ()
        for record in jobs:
            channel = channels[record.job.id]
            if record.job.id in silent or has_lost(record, channel, empty, backlog, sent, self._routes):
                await lead()
                with faults.passed_over("sending again", job=record.job.id):
                    count = await scheduling.resend(self._records, self._queue, record, self._routes)
                    log.warning("messages were missing", job=record.job.id, resent=count)

    def _channel(self, record: JobRecord) -> str:
        """Where its first attempts go; empty, if its queue is not in the settings any more."""
        try:
            return self._routes.channel(record.job, record.job.limits.memory)
        except NotFound:
            return ""
