"""Beginning an attempt: one conditional write for a task that was never begun, which most are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from runner.adapters.dynamodb import keys, tasks
from runner.adapters.dynamodb.context import Context
from runner.adapters.dynamodb.keys import Key
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import Mark
from runner.adapters.dynamodb.table import ABSENT, Condition
from runner.adapters.dynamodb.takeover import Takeover
from runner.adapters.dynamodb.tasks import TaskItem
from runner.adapters.dynamodb.totals import Account
from runner.aws import AwsError
from runner.model import Attempt, Job, Lease, Status
from runner.records import Refusal, RefusalKind

TRIES = 6


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to begin what. `mark` is what the write is known by."""

    lease: Lease
    job: Job
    owner: str
    account: Account
    mark: Mark

    @property
    def index(self) -> int:
        return self.lease.task.index

    @property
    def position(self) -> int:
        return self.job.array.rank(self.index)


class Beginning:
    def __init__(self, context: Context, takeover: Takeover) -> None:
        self._context = context
        self._takeover = takeover

    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        if lease.task.index not in job.array:
            return Refusal(RefusalKind.UNKNOWN, reason=f"job {job.id} has no index {lease.task.index}")
        standing = await self._context.standings.lately(job.id)
        if standing is None:
            return _unknown(job)
        with self._context.totals.account(standing) as account:
            claim = Claim(lease, job, owner, account, account.mark())
            try:
                return await self._first(claim, standing) or await self._contended(claim)
            except AwsError:
                account.doubtful.add(claim.mark)
                raise

    async def _first(self, claim: Claim, standing: Standing) -> Attempt | None:
        """None if it may have been begun before, or may not begin: for that the standing is too old to be trusted."""
        if claim.lease.receives > 1 or standing.released_at is None or standing.ending is not None:
            return None
        return await self._put(claim, standing, _first_item(claim, standing, self._context.now()), ABSENT)

    async def _contended(self, claim: Claim) -> Attempt | Refusal:
        """Look at what is there and change just that; again, while others are quicker."""
        for _ in range(TRIES):
            standing = await self._context.standings.now(claim.job.id)
            if standing is None:
                return _unknown(claim.job)
            item, at = await self._read(claim, standing)
            mine = None if item is None else await self._own(claim, standing, item)
            if mine is not None:
                return mine
            if item is not None and item.status is Status.RUNNING:
                refusal = await self._takeover.contest(claim.lease, claim.job, claim.owner, standing, item)
                if refusal is not None:
                    return refusal
                continue
            begun = await self._free(claim, standing, item, at)
            if begun is not None:
                return begun
        reason = "others are changing its record"
        return Refusal(RefusalKind.TOO_EARLY, self._context.lease, reason)

    async def _read(self, claim: Claim, standing: Standing) -> tuple[TaskItem | None, float]:
        """And when that was, by the service's clock."""
        item, at = await self._context.table.dated(_key(claim, standing), self._context.now)
        return None if item is None else tasks.unpack(item), at

    async def _own(self, claim: Claim, standing: Standing, item: TaskItem) -> Attempt | None:
        """What this call began, or an earlier one that was given up as lost, and so nobody carries it out."""
        if item.begin_mark == claim.mark:
            return self._counted(claim, item)
        if item.begin_mark not in claim.account.doubtful:
            return None
        free = item.status is Status.RUNNING and item.owner == claim.owner
        attempt = _attempt(claim, item)
        mine = (
            free
            and await self._takeover.show_life(attempt)
            and await self._claimed_again(claim, standing, item)
        )
        if item.begin_mark not in claim.account.doubtful:  # one of two messages is enough
            return None
        claim.account.doubtful.remove(item.begin_mark)
        self._counted(claim, item)
        return attempt if mine else None

    async def _claimed_again(self, claim: Claim, standing: Standing, item: TaskItem) -> bool:
        """Whoever took it for lost before it showed life cannot record that any more."""
        changes = {tasks.ATTRIBUTES["begin_mark"]: str(claim.mark)}
        unchanged = tasks.current(item.number, mark=item.begin_mark)
        return (await self._context.table.update(_key(claim, standing), changes, unchanged)).ok

    async def _free(
        self, claim: Claim, standing: Standing, item: TaskItem | None, at: float
    ) -> Attempt | Refusal | None:
        """Begin what nobody holds; None if somebody else was quicker."""
        refusal = self._refusal(claim, standing, item, at)
        if refusal is not None:
            return refusal
        now = self._context.now()
        if item is None:
            return await self._put(claim, standing, _first_item(claim, standing, now), ABSENT)
        await self._keep(claim, standing, item)
        unchanged = tasks.current(item.number, item.status)
        return await self._put(claim, standing, _next_item(claim, standing, item, now), unchanged)

    def _refusal(self, claim: Claim, standing: Standing, item: TaskItem | None, at: float) -> Refusal | None:
        if standing.ending is not None:
            return Refusal(RefusalKind.CANCELLED, reason=standing.ending.reason)
        if item is not None:
            item = tasks.as_it_stands(standing, item, claim.position)
            if item.status.terminal:
                return Refusal(RefusalKind.FINISHED)
        if standing.released_at is None:
            reason = "the jobs it comes after have not succeeded"
            return Refusal(RefusalKind.TOO_EARLY, self._context.lease, reason)
        # What waited since a time that was rounded down is over by one that is, too.
        if item is not None and item.not_before is not None and int(item.not_before) > at:
            return Refusal(RefusalKind.TOO_EARLY, item.not_before - at, "its backoff has not run out")
        return None

    async def _keep(self, claim: Claim, standing: Standing, item: TaskItem) -> None:
        """Put an attempt that has ended where it stays, before the next takes its place."""
        key = keys.history(claim.lease.task, standing.buckets, item.number)
        await self._context.table.put(tasks.pack(item, key, self._context.lifetime.expires()))

    async def _put(
        self, claim: Claim, standing: Standing, item: TaskItem, condition: Condition
    ) -> Attempt | None:
        packed = tasks.pack(item, _key(claim, standing), self._context.lifetime.expires())
        table, lots = self._context.table, self._context.lots
        written = await (lots.insert(packed) if condition is ABSENT else table.put(packed, condition))
        if written.ok or _mark_of(written.item) == claim.mark:
            return self._counted(claim, item)
        return None

    def _counted(self, claim: Claim, item: TaskItem) -> Attempt:
        self._context.totals.begun(claim.account, item.index, item.number, item.begun_at)
        return _attempt(claim, item)


def _attempt(claim: Claim, item: TaskItem) -> Attempt:
    return Attempt(
        task=claim.lease.task,
        number=item.number,
        tries=item.tries,
        owner=item.owner,
        memory=item.memory or claim.job.limits.memory,
        user_failures=item.user_failures,
        infra_failures=item.infra_failures,
    )


def _unknown(job: Job) -> Refusal:
    return Refusal(RefusalKind.UNKNOWN, reason=f"no job {job.id}")


def _key(claim: Claim, standing: Standing) -> Key:
    return keys.task(claim.lease.task, standing.buckets)


def _mark_of(item: dict[str, Any] | None) -> str | None:
    return item.get(tasks.ATTRIBUTES["begin_mark"]) if item else None


def _first_item(claim: Claim, standing: Standing, now: float) -> TaskItem:
    return TaskItem(
        index=claim.index,
        status=Status.RUNNING,
        number=1,
        tries=1,
        owner=claim.owner,
        begun_at=now,
        begin_mark=claim.mark,
        round=standing.round,
    )


def _next_item(claim: Claim, standing: Standing, item: TaskItem, now: float) -> TaskItem:
    item = tasks.as_it_stands(standing, item, claim.position)
    return replace(
        _first_item(claim, standing, now),
        number=item.number + 1,
        tries=item.tries + 1,
        user_failures=item.user_failures,
        infra_failures=item.infra_failures,
        memory=item.memory,
    )
