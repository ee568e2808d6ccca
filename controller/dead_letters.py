"""What becomes of messages that were put aside: the ledger decides, never how often they were received.

| the ledger says | then |
|---|---|
| the task has ended, or there is none | the message is dropped |
| it runs | a fresh message: whoever receives it sees whether the owner still lives |
| it may not run yet | a fresh message |
| it waits to be run | that is one loss to the infrastructure: a fresh message while that bound lasts, else FAILED |

So a task that came back a thousand times without ever being begun goes round a bounded number of times. That holds for
messages that the queue itself moved. Those that an agent put aside, with a reason, wait for a human, also where the
reason is not understood here: a newer version may have written them, or an older one read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from controller.ports import DeadLetters, Records
from runner import retry
from runner.errors import RunnerError
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome, Status, TaskId
from runner.ports import Clock, Ledger, Queue
from runner.records import DeadLetter, JobRecord, RefusalKind, TaskRecord
from runner.routing import Routes

log = structlog.get_logger()

# Seconds between looks.
INTERVAL = 60.0
# For how many seconds of a look letters are settled: far less than a leader's lease, which nothing renews meanwhile.
AT_LONGEST = 2.0
# Together they wait once for what the ledger gathers.
AT_ONCE = 25

UNREADABLE = "UNREADABLE"
UNKNOWN = "UNKNOWN"


class Fate(StrEnum):
    LEFT = "left"  # for a human, or for a later look
    REPLAYED = "replayed"
    DROPPED = "dropped"
    FAILED = "failed"  # its task, and the message dropped


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger has of a dead letter's task. `job` None: nothing. `task` None: it was not begun."""

    job: JobRecord | None = None
    task: TaskRecord | None = None

    @property
    def status(self) -> Status | None:
        if self.task is not None and (self.task.status is Status.RUNNING or self.task.status.terminal):
            return self.task.status
        if self.job is None:
            return None
        if self.job.ending is not None:
            return Status.CANCELLED
        return Status.RUNNABLE if self.job.released_at is not None else Status.PENDING


async def standing(records: Records, letter: DeadLetter) -> Standing:
    if letter.task is None:
        return Standing()
    job = await records.job(letter.task.job_id)
    if job is None or letter.task.index not in job.job.array:
        return Standing()
    return Standing(job, await records.task(letter.task))


class Settling:
    """Settles those that need no human, now and then. `holder` is the leader's name: only one settles at a time."""

    def __init__(
        self,
        letters: DeadLetters,
        queue: Queue,
        routes: Routes,
        records: Records,
        ledger: Ledger,
        now: Clock,
        *,
        holder: str,
    ) -> None:
        self._letters = letters
        self._queue = queue
        self._routes = routes
        self._records = records
        self._ledger = ledger
        self._now = now
        self._owner = f"controller#{holder}"
        self._due = float("-inf")
        # Of letters that are still there: one that cannot be removed, or whose task cannot be sent, must not be a loss
        # with each look.
        self._counted: set[str] = set()
        self._settled: dict[str, Fate] = {}

    async def chore(self, _jobs: Sequence[JobRecord] = ()) -> None:
        """For every step of the supervisor."""
        at = asyncio.get_running_loop().time()
        if at < self._due:
            return
        self._due = at + INTERVAL
        try:
            await self.settle()
        except RunnerError as error:
            # Nothing else that the leader does depends on it.
            log.warning("cannot settle dead letters", error=str(error), retry_in=INTERVAL)

    async def settle(self) -> Mapping[str, Fate]:
        """What became of each, by id."""
        loop = asyncio.get_running_loop()
        letters = await self._letters.list()
        fates = dict.fromkeys((letter.id for letter in letters), Fate.LEFT)
        until = loop.time() + AT_LONGEST
        for start in range(0, len(letters), AT_ONCE):
            if loop.time() >= until:
                self._due = until  # the rest in the next step
                break
            fates.update(await self._settle_some(letters[start : start + AT_ONCE]))
        return fates

    async def _settle_some(self, letters: Sequence[DeadLetter]) -> Mapping[str, Fate]:
        """Each lot is dropped before the next is begun: whoever dies in between charges few tasks twice."""
        fates = await asyncio.gather(*(self._settle(letter) for letter in letters))
        found = {letter.id: fate for letter, fate in zip(letters, fates, strict=True)}
        self._settled.update({id_: fate for id_, fate in found.items() if fate is not Fate.LEFT})
        # Last, so that a crash in between makes duplicates and no loss.
        for letter in await self._letters.drop([id_ for id_ in found if id_ in self._settled]):
            self._settled.pop(letter.id, None)
            self._counted.discard(letter.id)
        return found

    async def _settle(self, letter: DeadLetter) -> Fate:
        if letter.id in self._settled:
            return self._settled[letter.id]
        if letter.task is None or letter.reason:
            return Fate.LEFT
        try:
            fate = await self._fate(letter, letter.task)
        except RunnerError as error:  # one job that cannot be read must not keep the others here
            log.warning("a dead letter stays", task=str(letter.task), reason=str(error))
            return Fate.LEFT
        log.info("a dead letter is settled", task=str(letter.task), fate=str(fate))
        return fate

    async def _fate(self, letter: DeadLetter, task: TaskId) -> Fate:
        found = await standing(self._records, letter)
        if found.job is None or found.status is None or found.status.terminal:
            return Fate.DROPPED
        # It must be known before anything is counted.
        channel = channel_of(self._routes, found.job.job, found.task)
        if found.status is not Status.RUNNING and letter.id not in self._counted:
            lease = Lease(task, letter.queue, letter.id, "", letter.receives, 0.0)
            begun = await self._ledger.begin(lease, found.job.job, self._owner)
            if isinstance(begun, Attempt):
                return await self._lose(letter, found.job.job, begun)
            if begun.kind not in (RefusalKind.HELD, RefusalKind.TOO_EARLY):
                return Fate.DROPPED
        await self._queue.send(channel, [task])
        return Fate.REPLAYED

    async def _lose(self, letter: DeadLetter, job: Job, attempt: Attempt) -> Fate:
        """End an attempt that was begun only to count the loss, so that it also stands in the task's history."""
        reason = f"its message was received {letter.receives} times without coming to an end"
        outcome = Outcome(Kind.LOST, Charge.INFRA, reason=reason, finished_at=self._now())
        verdict = retry.decide(job, attempt, outcome, 0.0)
        if verdict.status is Status.FAILED:
            verdict = replace(verdict, reason=f"{reason}; {verdict.reason}")
        await self._ledger.finish(attempt, outcome, verdict)
        self._counted.add(letter.id)
        if verdict.status is Status.FAILED:
            return Fate.FAILED
        channel = self._routes.channel(job, attempt.memory, attempt.infra_failures + 1)
        await self._queue.send(channel, [attempt.task])
        return Fate.REPLAYED


def channel_of(routes: Routes, job: Job, task: TaskRecord | None) -> str:
    """Where the task's next attempt belongs. Raises NotFound if its queue is not configured."""
    if task is None:
        return routes.channel(job, job.limits.memory)
    return routes.channel(job, task.memory or job.limits.memory, task.infra_failures)


async def replay(
    chosen: Sequence[DeadLetter], letters: DeadLetters, queue: Queue, routes: Routes, records: Records
) -> Sequence[DeadLetter]:
    """A fresh message for each whose task is known, where it belongs today; the others go where they came from.

    Returns those that were sent. Of the others some could not be found again.
    """
    # All that can be refused is looked at first: nothing is sent twice because another letter is at fault.
    known = [
        (letter, channel) for letter in chosen if (channel := await _channel_today(letter, routes, records))
    ]
    for letter, channel in known:
        assert letter.task is not None
        await queue.send(channel, [letter.task])
    sent = [letter for letter, _ in known]
    await letters.drop([letter.id for letter in sent])
    return [*sent, *await letters.replay([letter.id for letter in chosen if letter not in sent])]


async def _channel_today(letter: DeadLetter, routes: Routes, records: Records) -> str | None:
    """None if its task is not known. Raises NotFound if its queue is not configured."""
    found = await standing(records, letter)
    if found.job is None or letter.task is None:
        return None
    return channel_of(routes, found.job.job, found.task)


def reason_of(letter: DeadLetter) -> str:
    """Why it is there. The queue itself gives no reason."""
    return letter.reason or f"received {letter.receives} times without coming to an end"


def letter_object(letter: DeadLetter, found: Standing) -> dict[str, object]:
    """The JSON that docs/cli.md promises."""
    return {
        "id": letter.id,
        "status": status_of(letter, found),
        "queue": letter.queue,
        "task": None if letter.task is None else str(letter.task),
        "name": None if found.job is None else found.job.job.name,
        "reason": reason_of(letter),
        "receives": letter.receives,
        "at": letter.at,
        "body": letter.body,
    }


def status_of(letter: DeadLetter, found: Standing) -> str:
    """The task's status, or why it has none."""
    if letter.task is None:
        return UNREADABLE
    return str(found.status or UNKNOWN)
