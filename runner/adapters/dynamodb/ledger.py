"""`runner.ports.Ledger`: what agents do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from runner.adapters.dynamodb import keys, leadership, stored, tasks
from runner.adapters.dynamodb.beats import Beats
from runner.adapters.dynamodb.beginning import Beginning
from runner.adapters.dynamodb.bodies import Bodies
from runner.adapters.dynamodb.context import Context, Lifetime
from runner.adapters.dynamodb.finishing import Finishing, settlement
from runner.adapters.dynamodb.lots import Lots
from runner.adapters.dynamodb.standings import Standings
from runner.adapters.dynamodb.table import Table
from runner.adapters.dynamodb.takeover import Takeover
from runner.adapters.dynamodb.totals import Totals
from runner.codec import encode_metadata
from runner.model import Attempt, Job, Lease, Outcome
from runner.ports import Clock, Supervision
from runner.records import HostReport, Refusal, Verdict

LINGER = 1.0
FRESH = 1.0


class DynamoLedger:
    """`lease`: seconds after which an owner without a beat may be taken for dead. `name` must never have been another
    process's. `history`: seconds for which records are kept; None: for ever.

    `linger`: for how many seconds counts collect before they are written; `finish` returns after that. `fresh`: for how
    many a job's state, once read, lets further tasks of it begin.
    """

    def __init__(
        self,
        table: Table,
        now: Clock,
        lease: float,
        name: str,
        *,
        history: float | None = None,
        linger: float = LINGER,
        fresh: float = FRESH,
    ) -> None:
        self._table = table.hurried()
        self._now = now
        lifetime = Lifetime(now, history)
        self._standings = Standings(self._table, fresh)
        self._totals = Totals(self._table, name, linger, lifetime.expires)
        lots = Lots(self._table)
        context = Context(self._table, lots, now, lease, lifetime, self._standings, self._totals)
        self._outlook = leadership.Outlook(self._table, now)
        self._bodies = Bodies(self._table)
        self._beats = Beats(self._table, name, now, self._standings)
        self._finishing = Finishing(context)
        self._beginning = Beginning(context, Takeover(context, self._finishing, self._beats))

    async def job(self, job_id: str) -> Job | None:
        return await self._bodies.read(job_id)

    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        return await self._beginning.begin(lease, job, owner)

    async def touch(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        return await self._beats.touch(attempts) if attempts else ()

    async def cancelled(self, job_ids: Collection[str]) -> Collection[str]:
        found = await stored.read_all(self._table, list(job_ids), consistent=False)
        return {job_id for job_id, standing in found.items() if standing.ending is not None}

    async def annotate(self, attempt: Attempt, metadata: Mapping[str, str]) -> None:
        standing = await self._standings.once(attempt.task.job_id)
        if standing is not None:
            key = keys.task(attempt.task, standing.buckets)
            await self._table.update(key, {"md": encode_metadata(metadata)}, tasks.current(attempt.number))

    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        with self._beats.ending(attempt):
            # What is to wait is told by the clock that those who would begin it go by.
            now = (await self._beats.last(attempt)).at if verdict.delay > 0 else self._now()
            account = await self._finishing.settle(settlement(attempt, outcome, verdict, now))
            try:
                if account is not None:
                    await self._totals.carried(account)
            finally:
                self._beats.forget(attempt)
        return account is not None

    async def flush(self) -> None:
        """Write at once what was counted and is not written yet: before the process ends, say."""
        await self._totals.flush()

    async def report(self, report: HostReport) -> None:
        await leadership.report(self._table, report)

    async def supervision(self) -> Supervision:
        return await self._outlook.look()
