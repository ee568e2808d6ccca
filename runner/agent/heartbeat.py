"""One beat for all that is held: extends the messages, renews the ledger's leases, learns of cancels.

The guard runs beside the beat, because a call that hangs must not keep a container alive past its lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from runner.agent.holding import Holding
from runner.errors import RunnerError
from runner.model import TaskId
from runner.outcomes import StopCause
from runner.ports import Ledger, Queue

log = structlog.get_logger()

# Of a lease: what is kept for stopping the container before somebody else may start it.
STOPPING_SHARE = 0.25
# Of a lease: the least that must be left when we decide to stop, beyond the above.
SAFETY_SHARE = 0.1


def patience(lease: float) -> float:
    """For how many seconds an agent may show no sign of life until others stop its containers: so that they are gone
    before the lease of its last beat, which was a little earlier, is taken over."""
    return lease * (1 - STOPPING_SHARE - SAFETY_SHARE)


class Heartbeat:
    def __init__(
        self, queue: Queue, ledger: Ledger, *, lease: float, beat: float, pulse: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._ledger = ledger
        self.lease = lease
        self._beat = beat
        self._pulse = pulse
        self._held: dict[TaskId, Holding] = {}
        self._extending = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, task: TaskId) -> bool:
        return task in self._held

    @property
    def held(self) -> Iterable[Holding]:
        return tuple(self._held.values())

    @property
    def stopping_grace(self) -> float:
        """The longest a container may take to stop once its lease is lost, in seconds."""
        return self.lease * STOPPING_SHARE

    def hold(self, holding: Holding) -> None:
        self._held[holding.attempt.task] = holding

    async def drop(self, holding: Holding) -> None:
        """No beat renews the lease any more: call before giving the message a delay, which a beat would undo."""
        if self._holds(holding):
            del self._held[holding.attempt.task]
        async with self._extending:  # a beat that took its list before now may still be under way
            pass

    def _holds(self, holding: Holding) -> bool:
        """This very attempt, and not a later one at the same task."""
        return self._held.get(holding.attempt.task) is holding

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._beat)
            if self._held:
                await self.beat()

    async def beat(self) -> None:
        # After a freeze this may come before the guard's turn: what the watchdog ended meanwhile must not seem held.
        self.expire(asyncio.get_running_loop().time())
        held = [holding for holding in self.held if holding.cause is not StopCause.LEASE_LOST]
        for step in (self._touch, self._extend, self._learn_cancels, self._annotate):
            try:
                await step(held)
            except RunnerError as error:
                # The guard decides when this becomes a lost lease; until then the next beat may succeed.
                log.warning("beat failed", step=step.__name__.strip("_"), error=str(error))

    async def guard(self) -> None:
        """Ends holdings whose lease nobody managed to renew in time, and tells the watchdog that this loop lives."""
        while True:
            self._pulse()
            self.expire(asyncio.get_running_loop().time())
            await asyncio.sleep(min(1.0, self._beat))

    def expire(self, at: float) -> None:
        kept_back = self.lease * (STOPPING_SHARE + SAFETY_SHARE)
        for holding in self.held:
            if at >= holding.held_until - kept_back:
                holding.lapsed = True
                holding.stop(StopCause.LEASE_LOST, "its lease could not be renewed in time")

    def keeps(self, holding: Holding) -> bool:
        """Whether it is to go on: looked at now, and not when the guard last did."""
        self.expire(asyncio.get_running_loop().time())
        return not holding.stopped.done()

    async def _touch(self, held: list[Holding]) -> None:
        asked = asyncio.get_running_loop().time()
        gone = {attempt.task for attempt in await self._ledger.touch([h.attempt for h in held])}
        for holding in held:
            if holding.attempt.task in gone:
                holding.stop(StopCause.LEASE_LOST, "another attempt has taken over")
            else:
                holding.renewed(asked + self.lease)

    async def _extend(self, held: list[Holding]) -> None:
        async with self._extending:
            lost = await self._queue.extend([h.lease for h in held if self._holds(h)], self.lease)
        for lease in lost:
            # Not yet a reason to stop: whoever has the message now is refused by the ledger while our beats are seen
            # there, which is also how a task outlives the longest time a queue will hide a message.
            log.warning("message lost", task=str(lease.task), message=lease.message_id)

    async def _learn_cancels(self, held: list[Holding]) -> None:
        jobs = {holding.attempt.task.job_id for holding in held}
        cancelled = await self._ledger.cancelled(jobs)
        for holding in held:
            if holding.attempt.task.job_id in cancelled:
                holding.stop(StopCause.CANCELLED, "the job was cancelled")

    async def _annotate(self, held: list[Holding]) -> None:
        for holding in held:
            if holding.started is None:
                continue
            metadata = await holding.started.metadata()
            if metadata != holding.metadata:
                holding.metadata = metadata
                await self._ledger.annotate(holding.attempt, metadata)
