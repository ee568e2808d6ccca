"""What the controller asks of the outside world, beside `runner.ports.Queue`, `Logs` and `Manifests`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from controller.model import FleetCapacity
from runner.model import Job, Status, TaskId
from runner.records import AttemptRecord, Ending, HostReport, JobRecord, TaskRecord, Window


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
        """Newest first. `unfinished`: only those whose status is not terminal."""
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

    async def publish(self, holder: str, demand: int) -> None:
        """Tell the agents the demand, if `holder` leads."""
        ...

    async def hosts(self) -> Sequence[HostReport]:
        """Agents that reported and did not retire, last seen first."""
        ...


class Fleet(Protocol):
    async def capacity(self) -> FleetCapacity: ...

    async def resize(self, desired: int) -> None:
        """Out only: start machines until there are `desired`. Machines end themselves."""
        ...
