"""Jobs, with what stands of them and what was counted."""

from __future__ import annotations

from typing import NamedTuple

from runner.adapters.dynamodb import stored
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import Total
from runner.adapters.dynamodb.table import Table
from runner.model import Job
from runner.records import JobRecord


class Stored(NamedTuple):
    job: Job
    standing: Standing


class Seen(NamedTuple):
    """A job, as its sums make it out."""

    job: Job
    standing: Standing
    total: Total

    @property
    def record(self) -> JobRecord:
        total, now = self.total, self.standing
        return JobRecord(
            job=self.job,
            counts=now.counts(total),
            round=now.round,
            sent=now.sent,
            queued=now.queued(total),
            released_at=now.released_at,
            ending=now.ending,
            first_started_at=total.first,
            last_finished_at=total.last,
            task_seconds=total.seconds,
            cpu_seconds=total.cpu,
            peak_memory=total.peak,
        )


async def see(table: Table, found: Stored) -> Seen:
    return Seen(found.job, found.standing, await stored.total(table, found.standing))
