"""Recording how an attempt ended: one write, fenced by the attempt's number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.adapters.dynamodb import keys, outcomes, tasks
from runner.adapters.dynamodb.context import Context
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import End, Mark
from runner.adapters.dynamodb.totals import Account
from runner.adapters.dynamodb.values import Item
from runner.aws import AwsError
from runner.model import Attempt, Charge, Outcome, Status, TaskId
from runner.records import Verdict

# Of a reason, in characters: the outcome has it too.
LONGEST_REASON = 4000


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended and what that makes of its task. The failures are those of the round, with this one."""

    attempt: Attempt
    status: Status
    outcome: Outcome
    reason: str = ""
    user_failures: int = 0
    infra_failures: int = 0
    not_before: float | None = None
    memory: int | None = None


def settlement(attempt: Attempt, outcome: Outcome, verdict: Verdict, now: float) -> Settlement:
    if verdict.status is Status.SUCCEEDED:
        return Settlement(attempt, Status.SUCCEEDED, outcome)
    again = verdict.status is Status.RUNNABLE
    return Settlement(
        attempt,
        verdict.status,
        outcome,
        reason="" if again else verdict.reason or outcome.reason,
        user_failures=attempt.user_failures + (verdict.charge is Charge.USER),
        infra_failures=attempt.infra_failures + (verdict.charge is Charge.INFRA),
        not_before=now + verdict.delay if again and verdict.delay > 0 else None,
        memory=verdict.memory,
    )


@dataclass(frozen=True, slots=True)
class _Write:
    """One try at writing a settlement. `text` is its outcome's, `mark` what the write is known by."""

    settled: Settlement
    standing: Standing
    account: Account
    mark: Mark
    text: str
    now: float

    @property
    def task(self) -> TaskId:
        return self.settled.attempt.task

    @property
    def number(self) -> int:
        return self.settled.attempt.number

    @property
    def lifted(self) -> bool:
        """What cancelled it was lifted before it could stop."""
        return self.settled.status is Status.CANCELLED and self.standing.ending is None

    @property
    def round(self) -> int:
        """The round it belongs to: a round that lifted its cancel opens it again, as if it had ended before."""
        return self.standing.round - self.lifted

    @property
    def end(self) -> End:
        settled = self.settled
        return End(
            self.task.index,
            self.number,
            settled.status,
            self.round,
            settled.outcome,
            self.now,
            lifted=self.lifted,
        )


class Finishing:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def settle(self, settled: Settlement) -> Account | None:
        """None if the attempt is not current, or was settled otherwise. Else this stands, and is counted in the account
        that is returned, which may still have to be carried."""
        # Success is for all rounds alike; whatever else ended belongs to the round in which it did.
        succeeded = settled.status is Status.SUCCEEDED
        standings, job_id = self._context.standings, settled.attempt.task.job_id
        standing = await (standings.once(job_id) if succeeded else standings.now(job_id))
        if standing is None:
            return None
        if not succeeded:
            await self._hint(settled, standing)
        with self._context.totals.account(standing) as account:
            text, now = outcomes.encode(settled.outcome), self._context.now()
            write = _Write(settled, standing, account, account.mark(), text, now)
            return account if await self._carry_out(write) else None

    async def _hint(self, settled: Settlement, standing: Standing) -> None:
        """First, so that it is never missing: one that leads nowhere does no harm."""
        key = keys.hint(settled.attempt.task, standing.buckets)
        await self._context.table.put({**key._asdict(), "expires": self._context.lifetime.expires()})

    async def _carry_out(self, write: _Write) -> bool:
        key = keys.task(write.task, write.standing.buckets)
        changes = {**_changes(write), "expires": self._context.lifetime.expires()}
        try:
            written = await self._context.table.update(key, changes, tasks.current(write.number))
        except AwsError:
            write.account.doubtful.add(write.mark)
            raise
        if written.ok:
            self._context.totals.ended(write.account, write.end)
            return True
        return await self._recognised(write, written.item)

    async def _recognised(self, write: _Write, found: Item | None) -> bool:
        """Whether what stands for this attempt, as its task's latest or in history, says the same."""
        if found is not None and tasks.unpack(found).number > write.number:
            key = keys.history(write.task, write.standing.buckets, write.number)
            found = await self._context.table.get(key)
        item = tasks.unpack(found) if found else None
        if item is None or item.number != write.number or item.outcome != write.text:
            return False
        if write.account.uncounted(item.end_mark, write.mark):
            self._context.totals.ended(write.account, write.end)
        return True


def _changes(write: _Write) -> dict[str, Any]:
    """By the names of `tasks.ATTRIBUTES`."""
    settled = write.settled
    changes: dict[str, Any] = {"status": settled.status.value, "outcome": write.text, "end_mark": write.mark}
    if settled.outcome.finished_at is None:
        changes["ended_at"] = write.now
    if settled.outcome.metadata:
        changes["metadata"] = None  # what the attempt said last replaces what it said before
    if settled.memory is not None:
        changes["memory"] = settled.memory
    if settled.status is not Status.SUCCEEDED:
        changes |= {
            "settled": write.round,
            "lifted": write.standing.round if write.lifted else None,
            "reason": settled.reason[:LONGEST_REASON] or None,
            "user_failures": settled.user_failures or None,
            "infra_failures": settled.infra_failures or None,
            "not_before": settled.not_before,
        }
    return {tasks.ATTRIBUTES[name]: value for name, value in changes.items()}
