"""Recording how an attempt ended: one write, fenced by the attempt's number."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from runner.adapters.dynamodb import hints, keys, outcomes, tasks
from runner.adapters.dynamodb.context import Context
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.sums import End, Mark
from runner.adapters.dynamodb.table import Condition, Written
from runner.adapters.dynamodb.tasks import TaskItem
from runner.adapters.dynamodb.totals import Account
from runner.adapters.dynamodb.values import Item
from runner.aws import AwsError
from runner.errors import Unavailable
from runner.model import Attempt, Charge, Outcome, Status, TaskId
from runner.records import Verdict

# Of a reason, in characters: the outcome has it too.
LONGEST_REASON = 4000


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended and what that makes of its task. The failures are those of the round, with this one.
    `begin_mark`: only if its beginning still bears it."""

    attempt: Attempt
    status: Status
    outcome: Outcome
    reason: str = ""
    user_failures: int = 0
    infra_failures: int = 0
    not_before: float | None = None
    memory: int | None = None
    begin_mark: Mark | None = None


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
    def succeeded(self) -> bool:
        """Then it is of no round: success is for all rounds alike."""
        return self.settled.status is Status.SUCCEEDED

    @property
    def as_written(self) -> Condition:
        """It has been carried out, and the task was not begun since."""
        return tasks.current(self.number, self.settled.status)

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
        with self._context.totals.account(standing) as account:
            text, now = outcomes.encode(settled.outcome), self._context.now()
            write = _Write(settled, standing, account, account.mark(), text, now)
            if not succeeded:
                await self._hint(write)
            return account if await self._carry_out(write) else None

    async def _hint(self, write: _Write) -> None:
        key = keys.hint(write.task, write.standing.buckets)
        status, expires = write.settled.status, self._context.lifetime.expires()
        await hints.leave(self._context.table, key, write.number, status, write.round, expires)

    async def _carry_out(self, write: _Write) -> bool:
        current = tasks.current(write.number, mark=write.settled.begin_mark)
        written = await self._update(write, current)
        if not written.ok:
            return await self._recognised(write, written.item)
        try:
            write = await self._in_the_latest_round(write)
        except asyncio.CancelledError:
            self._context.totals.ended(write.account, write.end)
            raise
        self._context.totals.ended(write.account, write.end)
        return True

    async def _update(self, write: _Write, condition: Condition) -> Written:
        key = keys.task(write.task, write.standing.buckets)
        changes = {**_changes(write), "expires": self._context.lifetime.expires()}
        try:
            return await self._context.lots.update(key, changes, condition)
        except AwsError:
            write.account.doubtful.add(write.mark)
            raise

    async def _in_the_latest_round(self, write: _Write) -> _Write:
        """What stands at last. A round opened just before the write may have come past a task that still ran, and will
        not send it again: so it has to end in that round. One opened after it finds it ended."""
        while not write.succeeded:
            try:
                standing = await self._context.standings.now(write.task.job_id)
            except Unavailable:
                break  # it stands, and nearly always rightly so
            if standing is None or standing.round == write.standing.round:
                break
            later = replace(write, standing=standing)
            if not (await self._update(later, write.as_written)).ok:
                break  # begun anew
            write = later
        return write

    async def _recognised(self, write: _Write, found: Item | None) -> bool:
        """Whether what stands for this attempt, as its task's latest or in history, says the same."""
        if found is not None and tasks.unpack(found).number > write.number:
            key = keys.history(write.task, write.standing.buckets, write.number)
            found = await self._context.table.get(key)
        item = tasks.unpack(found) if found else None
        if item is None or item.number != write.number or item.outcome != write.text:
            return False
        mark = item.end_mark
        if mark is not None and write.account.uncounted(mark, write.mark):
            self._context.totals.ended(write.account, await self._end_of(replace(write, mark=mark), item))
        return True

    async def _end_of(self, write: _Write, item: TaskItem) -> End:
        """Of an earlier write that was not counted: in its own round, if it cannot be brought into this one."""
        if not write.succeeded and (await self._update(write, write.as_written)).ok:
            return (await self._in_the_latest_round(write)).end
        return tasks.end_of(item) or write.end


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
            "resent": None,  # of an earlier write of this
            "reason": settled.reason[:LONGEST_REASON] or None,
            "user_failures": settled.user_failures or None,
            "infra_failures": settled.infra_failures or None,
            "not_before": settled.not_before,
        }
    return {tasks.ATTRIBUTES[name]: value for name, value in changes.items()}
