"""Whether a running task may be taken from its owner.

Its beats tell: who finds it held notes the last one, for the message that brought it, and hides that message for a
lease and a margin; who brings the same message again and finds no newer beat takes over. A queue may also deliver a
message twice at once. So the note says when the beat was read, by the clock of the service that keeps it, which its
replies tell; no process's own clock matters. Unless a lease lies between the two readings, the message is hidden for
the rest.

Each message has a note of its own, so that duplicates do not keep each other waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from runner.adapters.dynamodb import keys, tasks
from runner.adapters.dynamodb.beats import Beats
from runner.adapters.dynamodb.context import Context
from runner.adapters.dynamodb.finishing import Finishing, Settlement
from runner.adapters.dynamodb.standing import Standing
from runner.adapters.dynamodb.table import Condition
from runner.adapters.dynamodb.tasks import TaskItem
from runner.aws import AwsError
from runner.model import Attempt, Charge, Job, Kind, Lease, Outcome, Status
from runner.records import Refusal, RefusalKind

LONGEST_HIDE = 600.0
MARGIN = 0.1
# Of the service's clock, in seconds: so much less may have passed between two times that it tells.
RESOLUTION = 1.0
LEAST_MARGIN = 2 * RESOLUTION
# Notes on one task; more duplicates of one message than that have never been seen.
MOST_NOTES = 8


class Note(NamedTuple):
    """The beat that was the last when a message was refused, how often that was a newer one, and when it was read."""

    beat: str
    held: int
    at: float


class Takeover:
    def __init__(self, context: Context, finishing: Finishing, beats: Beats) -> None:
        self._context = context
        self._finishing = finishing
        self._beats = beats

    async def contest(
        self, lease: Lease, job: Job, owner: str, standing: Standing, item: TaskItem
    ) -> Refusal | None:
        """None: look again, the task is free, or its record changed meanwhile."""
        attempt = _attempt(lease, job, item)
        if _restarted(item.owner, owner):
            return await self._take(attempt, job, standing, item, "its agent was killed and started anew")
        note, (beat, at) = _note_of(item, lease.message_id), await self._beats.last(attempt)
        if note is None or note.beat != beat:
            # It lives. The longer it does, the longer this message may sleep.
            fresh = Note(beat, note.held + 1 if note else 0, at)
            return await self._note(lease, standing, item, fresh)
        silence = at - note.at - RESOLUTION
        if silence < self._context.lease:
            return _held(item, min(self._hide, self._hide - silence))
        return await self._take(attempt, job, standing, item, f"{item.owner} fell silent")

    async def show_life(self, attempt: Attempt) -> bool:
        """A beat at once, for those that may be about to take it over. False if somebody has."""
        try:
            gone = await self._beats.touch([attempt])
        except AwsError:
            self._beats.forget(attempt)
            raise
        return not gone

    @property
    def _hide(self) -> float:
        return self._context.lease + max(LEAST_MARGIN, MARGIN * self._context.lease)

    async def _note(self, lease: Lease, standing: Standing, item: TaskItem, note: Note) -> Refusal | None:
        latest = sorted(item.notes.items(), key=lambda entry: entry[1][2])[1 - MOST_NOTES :]
        kept = {message: list(each) for message, each in latest if message != lease.message_id}
        current = tasks.current(item.number)
        known, values = "attribute_not_exists(#notes)", dict(current.values)
        if item.notes:
            known, values = "#notes = :notes", {**values, ":notes": item.notes}
        written = await self._context.table.update(
            keys.task(lease.task, standing.buckets),
            {"notes": {**kept, lease.message_id: list(note)}},
            Condition(f"{current.text} AND {known}", values),
        )
        doubled = min(LONGEST_HIDE, self._hide * 2.0 ** min(note.held, 32))
        return _held(item, max(self._hide, doubled)) if written.ok else None

    async def _take(
        self, attempt: Attempt, job: Job, standing: Standing, item: TaskItem, reason: str
    ) -> Refusal | None:
        """Record the holder's attempt as lost; then the task is free, unless that was the last."""
        refusal = _refusal(attempt, job, standing, reason)
        status = _AFTER[refusal.kind] if refusal else Status.RUNNABLE
        now = self._context.now()
        settled = await self._finishing.settle(
            Settlement(
                attempt,
                status,
                Outcome(Kind.LOST, Charge.INFRA, reason=reason, finished_at=now, memory=item.memory),
                reason=refusal.reason if refusal else "",
                user_failures=attempt.user_failures,
                infra_failures=attempt.infra_failures + 1,
                begin_mark=item.begin_mark,
            )
        )
        return refusal if settled else None


_AFTER = {RefusalKind.CANCELLED: Status.CANCELLED, RefusalKind.EXHAUSTED: Status.FAILED}


def _attempt(lease: Lease, job: Job, item: TaskItem) -> Attempt:
    return Attempt(
        lease.task,
        item.number,
        item.tries,
        item.owner,
        item.memory or job.limits.memory,
        item.user_failures,
        item.infra_failures,
    )


def _restarted(holder: str, claimant: str) -> bool:
    """The holder is an earlier incarnation of the claimant's host, and therefore dead."""
    return holder != claimant and holder.partition("#")[0] == claimant.partition("#")[0]


def _note_of(item: TaskItem, message: str) -> Note | None:
    notes: Mapping[str, Any] = item.notes
    return Note(*notes[message]) if message in notes else None


def _held(item: TaskItem, retry_after: float) -> Refusal:
    return Refusal(RefusalKind.HELD, retry_after, f"{item.owner} has it")


def _refusal(attempt: Attempt, job: Job, standing: Standing, reason: str) -> Refusal | None:
    if standing.ending is not None:
        return Refusal(RefusalKind.CANCELLED, reason=standing.ending.reason)
    failures, bound = attempt.infra_failures + 1, job.retry.infra_retries
    if failures <= bound:
        return None
    exhausted = f"{reason}: lost to the infrastructure {failures} times, the bound is {bound}"
    return Refusal(RefusalKind.EXHAUSTED, reason=exhausted)
