"""Waits for jobs to end, and supervises meanwhile unless somebody else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.advice import briefly
from controller.ports import Records
from controller.wiring import Parts
from runner.codec import DecodeError, decode_note
from runner.errors import NotFound
from runner.model import Status
from runner.ports import Supervision
from runner.records import JobRecord, Note
from runner.settings import BATCH

if TYPE_CHECKING:
    from controller.supervisor import Supervisor

# Seconds between two looks at the jobs. In a fleet each is a few requests.
POLL = 0.2
FLEET_POLL = 2.0
# Between two looks at what the leader says.
LISTENS = 10.0


@dataclass(frozen=True, slots=True)
class View:
    """What one look saw: the jobs, the unfinished ones that they come after, and what keeps them from going on."""

    jobs: Sequence[JobRecord]
    parents: Sequence[JobRecord] = ()
    trouble: str = ""

    @property
    def ended(self) -> bool:
        return all(record.status.terminal for record in self.jobs)


@asynccontextmanager
async def supervising(
    parts: Parts, supervisor: Supervisor | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Lead, or stand by for when nobody does. Agents that were started end by themselves when idle."""
    supervisor = supervisor or parts.supervisor(reserve=True)
    running = asyncio.create_task(supervisor.run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await supervisor.resign()


async def until_ended(
    parts: Parts, job_ids: Sequence[str], show: Callable[[View], None] = lambda _: None
) -> Sequence[JobRecord]:
    """The jobs' records once all have ended. `show` gets every look at them, several times a second."""
    watch = Watch(parts.records, job_ids)
    view = await watch.look()
    show(view)
    if view.ended:
        return view.jobs
    async with supervising(parts) as running:
        in_fleet = parts.settings.fleet is not None
        pause = FLEET_POLL if in_fleet else POLL
        troubles = Troubles(lambda: _trouble(parts), parts.ledger.supervision if in_fleet else None)
        while True:
            await asyncio.wait((running,), timeout=pause)
            if running.done():
                running.result()  # raises what no supervisor goes on after
            view = await watch.look(await troubles.look() or _stranded(parts, view))
            show(view)
            if view.ended:
                return view.jobs


def _stranded(parts: Parts, view: View) -> str:
    """Of jobs that were submitted with other settings."""
    for record in (*view.parents, *view.jobs):
        backend = record.job.backend
        runs = backend in parts.backends if backend else parts.settings.mode != BATCH
        if not (runs or record.status.terminal):
            name, job_id = record.job.name, record.job.id
            return f"{name} runs nowhere with these settings: runner-controller explain {job_id}"
    return ""


def _trouble(parts: Parts) -> str:
    own = (parts.fleet.trouble, *(each.trouble for each in parts.backends.values()))
    return next((trouble for trouble in own if trouble), "")


class Troubles:
    """Why machines do not come. Only the leader knows; where that is another process, what it published tells.

    `own`: what this process knows. `listen` None: on one machine, where there is no more to know."""

    def __init__(
        self, own: Callable[[], str], listen: Callable[[], Awaitable[Supervision]] | None = None
    ) -> None:
        self._own = own
        self._listen = listen
        self._published = ""
        self._listened = float("-inf")

    async def look(self) -> str:
        if self._listen is None or self._own():
            return self._own()
        now = asyncio.get_running_loop().time()
        if now - self._listened >= LISTENS:
            self._listened = now
            supervision = await self._listen()
            self._published = told(supervision.note).trouble if supervision.led else ""
        return self._published


def told(note: str) -> Note:
    """What the leader published; nothing, where that is of another release."""
    try:
        return decode_note(note)
    except DecodeError:
        return Note()


class Watch:
    """Looks at jobs again and again; those that have ended are not read anew."""

    def __init__(self, records: Records, job_ids: Iterable[str]) -> None:
        self._records = records
        self._ids = list(job_ids)
        self._ended: dict[str, JobRecord] = {}

    async def look(self, trouble: str = "") -> View:
        """`trouble` is the fleet's, if there is any."""
        jobs = [await self._read(job_id) for job_id in self._ids]
        parents = await self._unfinished_parents(jobs)
        return View(jobs, parents, trouble or await self._held_back([*parents, *jobs]))

    async def _held_back(self, jobs: Iterable[JobRecord]) -> str:
        """Why nothing runs though something did: tasks failed, and wait for another try."""
        for record in jobs:
            counts = record.counts
            if (
                record.first_started_at is None
                or counts.running
                or not counts.runnable
                or record.status.terminal
            ):
                continue
            for task in await self._records.tasks(record.job.id, statuses={Status.RUNNABLE}, limit=1):
                if task.outcome is not None:
                    return f"{record.job.name}: task {task.task.index} {briefly(task.outcome)}; it is tried again"
        return ""

    async def _unfinished_parents(self, jobs: Sequence[JobRecord]) -> Sequence[JobRecord]:
        """Of all generations, the nearest last."""
        found: dict[str, JobRecord] = {}
        waiting = list(jobs)
        while waiting:
            record = waiting.pop()
            if record.status.terminal:
                continue
            for parent_id in record.job.after:
                parent = await self._read(parent_id)
                if parent_id not in self._ids and parent_id not in found and not parent.status.terminal:
                    found[parent_id] = parent
                    waiting.append(parent)
        return list(reversed(found.values()))

    async def _read(self, job_id: str) -> JobRecord:
        known = self._ended.get(job_id)
        if known is not None:
            return known
        record = await self._records.job(job_id)
        if record is None:
            message = f"no such job: {job_id}"
            raise NotFound(message)
        if record.status.terminal:
            self._ended[job_id] = record
        return record
