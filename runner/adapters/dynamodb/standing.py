"""A job as a whole, and what may happen to it. Pure: how it is stored is another module's affair.

Nothing here, or in the table, grows with the number of tasks. To open a new round or to end a job is one write: what
that makes of a task follows from its own record and from the job's. Three numbers decide:

the round in which the task ended without success, or was given up as its job ended (`opened_again`);
its position in the array;
how far each later round has come in sending again what it opened (`scans`).

An attempt may also end as cancelled when a new round has lifted that already. It counts as one that the round found
ended and opened again; but the round may have come past its position, so that it is sent again on its own (`lifted`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from runner.adapters.dynamodb.sums import Total
from runner.adapters.dynamodb.values import Item
from runner.array import Array
from runner.model import Status
from runner.records import Counts, Ending, Window

# Of text that people write, so that the record stays small.
LONGEST_REASON = 4000


@dataclass(frozen=True, slots=True)
class Standing:
    """`sent` is the cursor. `resend`: how many of what this round opened are still to be sent again, which lie below
    `resend_end`, by what the sums knew when it was opened: `earlier` (see `Total`). It goes below zero as later ones
    are sent. `ended_round`: the last round that ended as a whole, and `gap_end` the cursor then: what was below it and
    never begun is to be sent again. `lifted_sent`: of how many that ended as cancelled too late it is known that they
    were sent again, in all rounds. `over`: nothing will happen any more, and `closed` are the sums.
    """

    job_id: str
    size: int
    buckets: int
    parts: int
    chunks: int
    created_at: float
    version: int = 0
    mark: str = ""
    round: int = 1
    sent: int = 0
    scans: tuple[tuple[int, int], ...] = ()
    resend: int = 0
    resend_end: int = 0
    earlier: int = 0
    ended_round: int = 0
    gap_end: int = 0
    lifted_sent: int = 0
    released_at: float | None = None
    ending: Ending | None = None
    over: bool = False
    closed: Item | None = None

    @property
    def waiting(self) -> bool:
        return self.released_at is None and self.ending is None

    @property
    def scanned(self) -> int:
        """How far this round has sent again what it opened."""
        return next((reached for round_, reached in self.scans if round_ == self.round), self.resend_end)

    @property
    def scanning(self) -> bool:
        return self.scanned < self.resend_end

    @property
    def gap_open(self) -> bool:
        """Tasks that never began may be among what is to be sent again."""
        return self.reached_since(self.ended_round) < self.gap_end

    def opened_again(self, status: Status | None, settled: int, position: int) -> int | None:
        """The round after which a task was opened again; None: it was not.

        `status` and `settled`, the round in which the attempt ended, are its record's; None if it never began.
        """
        if status is None:
            return self.ended_round if self.ended_round and position < self.gap_end else None
        if status is Status.RUNNABLE:
            return self.ended_round if settled <= self.ended_round else None
        if status in (Status.FAILED, Status.CANCELLED) and settled < self.round:
            return max(settled, self.ended_round)
        return None

    def reached_since(self, round_: int) -> int:
        return max((reached for later, reached in self.scans if later > round_), default=0)

    def to_be_sent_again(self, opened: int | None, position: int) -> bool:
        return opened is not None and position >= self.reached_since(opened)

    def on_its_own(self, lifted: int) -> bool:
        """Whether a task that ended as cancelled in round `lifted`, which had lifted that, is sent again on its own.
        Once the job has ended since, it is not: then it is opened again with all the others."""
        return lifted > self.ended_round

    def unsent_again(self, total: Total) -> int:
        """How many of what this round opened are still to be sent again, by what was counted: ends that were counted
        only after it was opened are among them. As long as nobody has looked whether there are more, there is one."""
        return max(1, self._resend(total)) if self.scanning else 0

    def _resend(self, total: Total) -> int:
        return self.resend + max(0, total.earlier - self.earlier)

    def lifted_unsent(self, total: Total) -> int:
        """How many are to be sent again on their own, or a few more: old messages may have begun some meanwhile."""
        return max(0, total.lifted - self.lifted_sent)

    def counts(self, total: Total) -> Counts:
        """What never began, or waits, is all that is left: where the job stands says what it counts as."""
        left = max(0, self.size - total.running - total.finished)
        released, ended = self.released_at is not None, self.ending is not None
        return Counts(
            pending=left if self.waiting else 0,
            runnable=left if released and not ended else 0,
            running=total.running,
            succeeded=total.succeeded,
            failed=total.failed,
            cancelled=total.cancelled + (left if ended else 0),
        )

    def queued(self, total: Total) -> int:
        """At least what runs: while a round is being sent again, tasks that old messages began are not known apart."""
        if self.ending is not None:
            return total.running
        unsent = self.lifted_unsent(total) + self.unsent_again(total)
        return max(total.running, self.sent - unsent - total.finished)


def released(standing: Standing, at: float) -> Standing | None:
    return replace(standing, released_at=at) if standing.waiting else None


def ended(standing: Standing, ending: Ending) -> Standing | None:
    if standing.ending is not None or standing.over:
        return None
    return replace(standing, ending=replace(ending, reason=ending.reason[:LONGEST_REASON]))


def reopened(standing: Standing, total: Total, released_at: float | None) -> Standing:
    whole = standing.ending is not None
    # Of what ended as a whole everything below the cursor is sent again that neither succeeded nor runs.
    resend = (
        max(0, standing.sent - total.succeeded - total.running)
        if whole
        else (standing._resend(total) if standing.scanning else 0) + total.failed + total.cancelled
    )
    return replace(
        standing,
        round=standing.round + 1,
        scans=(*(() if whole else standing.scans), (standing.round + 1, 0)),
        resend=resend,
        resend_end=standing.sent,
        earlier=total.earlier + total.failed + total.cancelled,
        ended_round=standing.round if whole else standing.ended_round,
        gap_end=standing.sent if whole else standing.gap_end,
        lifted_sent=total.lifted if whole else standing.lifted_sent,
        released_at=released_at,
        ending=None,
        over=False,
        closed=None,
    )


def window_sent(
    standing: Standing, array: Array, window: Window, lifted: Collection[int] = (), most: int = 0
) -> Standing | None:
    """`lifted`: indices of the window that were sent on their own; `most`: how many of those there were ever."""
    if window.round != standing.round or standing.ending is not None:
        return None
    positions = [array.rank(index) for index in window.indices]
    again = [position for position in positions if standing.scanned <= position < standing.resend_end]
    own = {array.rank(index) for index in lifted}
    reached = again[-1] + 1 if again else 0
    if window.cursor > standing.sent:
        reached = window.cursor  # what was opened again goes first, so there was no more of it
    resend = standing.resend - len(set(again) - own)
    moved = scanned_to(replace(standing, resend=resend), reached) or standing
    known = min(most, standing.lifted_sent + len(own))
    changed = replace(
        moved, sent=max(standing.sent, window.cursor), lifted_sent=max(standing.lifted_sent, known)
    )
    return None if changed == standing else changed


def scanned_to(standing: Standing, reached: int) -> Standing | None:
    """All that is to be sent again lies at `reached` or above; rounds that came less far need not be remembered."""
    if reached <= standing.scanned or not standing.scans:
        return None
    before = [(round_, at) for round_, at in standing.scans if round_ != standing.round and at > reached]
    return replace(standing, scans=(*before, (standing.round, reached)))


def lifted_sent(standing: Standing, count: int) -> Standing | None:
    """Of the first `count` that ended as cancelled too late none is still to be sent."""
    return replace(standing, lifted_sent=count) if count > standing.lifted_sent else None


def doubted(standing: Standing) -> Standing | None:
    """Look anew for all that is to be sent again on its own."""
    return replace(standing, lifted_sent=0) if standing.lifted_sent else None


def closed(standing: Standing, sums: Item) -> Standing | None:
    return None if standing.over else replace(standing, over=True, closed=sums)
