"""What the controller asks of the outside world, beside `runner.ports.Queue`, `Logs` and `Manifests`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from controller.model import EnvironmentCapacity, Reason
from runner.model import Job, Status, TaskId
from runner.records import (
    UNRECORDED,
    AttemptRecord,
    DeadLetter,
    Ending,
    HostReport,
    JobRecord,
    Recorded,
    TaskRecord,
    Window,
)


class Records(Protocol):
    """The ledger as the controller sees it: all of it, and the writes that are not about one attempt."""

    async def register(self, job: Job) -> tuple[JobRecord, bool]:
        """Store a job; a small write whatever its size. With an idempotency key already used, returns the stored job
        and False, or raises Conflict if that was for something else (id and time of creation aside)."""
        ...

    async def job(self, job_id: str) -> JobRecord | None: ...

    async def jobs(
        self,
        *,
        name: str | None = None,
        id_prefix: str | None = None,
        unfinished: bool = False,
        limit: int | None = None,
    ) -> Sequence[JobRecord]:
        """Newest first. `unfinished`: only those whose status is not terminal. Changes nothing, whoever asks; without
        those that a newer program stored and this one cannot read."""
        ...

    async def tidy(self) -> Sequence[JobRecord]:
        """For whoever leads, once in a while: see to jobs that are over, that stand still, or that are as old as their
        history is kept, where the ledger needs that. Returns the unfinished jobs, as `jobs` would have before."""
        ...

    async def release(self, job_id: str, at: float) -> None:
        """Its parents have succeeded: its tasks may run."""
        ...

    async def end(self, job_id: str, ending: Ending) -> bool:
        """End the job as a whole: waiting tasks are CANCELLED with its reason, running ones learn of it by their beat.
        False if it was over already."""
        ...

    async def reopen(self, job_id: str, at: float) -> int:
        """Open a new round for every task that ended without success. The old records become history; an ending is
        lifted, and with it the cancel of what still runs; the job waits for its parents anew (`released_at` None).
        Returns how many tasks. 0 changes nothing."""
        ...

    async def unsent(self, job_id: str, most: int) -> Window:
        """What to send next so that no more than `most` are queued. Cursor and `queued` are of one moment: with a
        `queued` read earlier, two who enqueue at once would send too many."""
        ...

    async def sent(self, job_id: str, window: Window) -> None:
        """All of the window is on the queue. Idempotent; the cursor never moves back. A window of an earlier round
        changes nothing."""
        ...

    async def outstanding(self, job_id: str, limit: int, after: int = -1) -> Sequence[int]:
        """Indices greater than `after` that were sent and have not ended, ascending: on a queue, or held."""
        ...

    async def task(self, task: TaskId) -> TaskRecord | None:
        """None if no attempt began (and for an index the job does not have)."""
        ...

    async def tasks(
        self, job_id: str, *, statuses: Collection[Status] | None = None, after: int = -1, limit: int = 1000
    ) -> Sequence[TaskRecord]:
        """Begun tasks by ascending index, those greater than `after`. Fast for the unsuccessful in any job."""
        ...

    async def attempts(self, task: TaskId) -> Sequence[AttemptRecord]:
        """Every ended attempt of all rounds, oldest first."""
        ...

    async def lead(self, holder: str, seconds: float) -> bool:
        """Take or renew the leader's lease. False: someone else has it."""
        ...

    async def resign(self, holder: str) -> None: ...

    async def publish(self, holder: str, demand: int, note: str = "") -> None:
        """Tell the agents and `fleet status`, if `holder` leads: `demand` counts the tasks that wait or run, `note` is
        kept beside it as it is (`runner.codec.encode_note`, some KB at most). Both come back from
        `Ledger.supervision`. Publishing what stands there already should cost no write."""
        ...

    async def hosts(self) -> Sequence[HostReport]:
        """Agents that reported and did not retire, last seen first; without those whose report cannot be read."""
        ...


class Fleet(Protocol):
    """Machines by compute environment; in the embedded mode there is one, `local`."""

    @property
    def trouble(self) -> str:
        """One line on why machines do not come, for whoever waits for them; empty if they do."""
        ...

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        """Every environment there is, as seen now. Raises Unavailable rather than to guess."""
        ...

    async def resize(self, environment: str, desired: int) -> None:
        """Out only: ask for machines until there are `desired`. Fewer than were asked for ends none, but machines
        that were asked for in vain are then not asked for any longer."""
        ...

    async def replace(self, environment: str, instance: str) -> None:
        """Have a machine that does no work terminated, and another in its place."""
        ...

    async def stop(self) -> None:
        """End what lives only as long as this process wants: agents it started on this machine. Not the cloud's."""
        ...


Lead = Callable[[], Awaitable[None]]
"""Raises if somebody else leads by now; to be awaited between any two steps that may take long."""


class Backend(Protocol):
    """What runs the tasks of some jobs on machines of its own. Everything it is asked for it does at most once, whoever
    asks it and wherever whoever asked before was killed; what it remembers only saves looking again."""

    @property
    def trouble(self) -> str:
        """Why it was not looked at the last time; empty if it was."""
        ...

    async def start(self, record: JobRecord, lead: Lead) -> int:
        """Hand over what may be and is not yet. Returns how many tasks were taken up. Raises RunnerError, and what
        `lead` raises."""
        ...

    async def refresh(self, records: Sequence[JobRecord], lead: Lead) -> None:
        """Copy into the ledger what happened, and end what was cancelled; `records`: all unfinished jobs of this
        backend. To be called in every step, also without any. Raises RunnerError, and what `lead` raises."""
        ...

    async def stop(self, record: JobRecord) -> None:
        """End all that still goes on of a job that was ended as a whole, which `refresh` does, too. Raises
        RunnerError."""
        ...

    def forget(self) -> None:
        """For whoever begins to lead: somebody else may have, and what was remembered may be wrong."""
        ...

    async def reasons(self, record: JobRecord, now: float) -> Sequence[Reason]:
        """Why the job's tasks do not run yet, the most decisive first. Raises RunnerError."""
        ...


class LogReader(Protocol):
    """Reads what agents wrote through `runner.ports.Logs`."""

    @property
    def live(self) -> bool:
        """Whether what an attempt writes can be read before it has ended."""
        ...

    def read(
        self, task: TaskId, number: int, start: int = 0, recorded: Recorded = UNRECORDED
    ) -> AsyncIterator[bytes]:
        """What is kept of one attempt's log from byte `start`; nothing if there is none. Raises NotFound for one that
        was kept and is gone."""
        ...


class DeadLetters(Protocol):
    """Messages that were put aside, in no promised order.

    Where they can only be seen by receiving them, they are hidden for as long as each of these calls takes: another
    one at the same time may see fewer of them.
    """

    async def list(self, limit: int = 1000) -> Sequence[DeadLetter]: ...

    async def replay(self, ids: Collection[str]) -> Sequence[DeadLetter]:
        """Put each on the queue it came from, as a fresh message, then remove it here; a crash in between leaves both.
        Returns those that were there. Raises NotFound, before anything is done, if such a queue is no longer
        configured."""
        ...

    async def drop(self, ids: Collection[str]) -> Sequence[DeadLetter]:
        """Remove each for good. Returns those that were there."""
        ...


class Machines(Protocol):
    """Single machines like those of a compute environment, outside its count. All raise Unavailable."""

    async def start(self, environment: str, instance_type: str, user_data: bytes, purpose: str) -> str:
        """One machine that does at boot what `user_data` says, and is gone once it shuts down. Returns its id."""
        ...

    async def console(self, machine: str) -> str:
        """The end of what it wrote to its console, as far as that is known."""
        ...

    async def ended(self, machine: str) -> bool: ...

    async def end(self, machine: str) -> None:
        """At once. Harmless if it has ended."""
        ...
