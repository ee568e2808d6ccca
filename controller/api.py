"""Jobs from Python: submit them, wait for them, see what became of them. Told to users in `docs/api.md`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from controller import submission
from controller.dependencies import describe
from controller.intake import check_engine, checked_draft, stop_elsewhere, submit_draft
from controller.layers import argument
from controller.listing import list_tasks
from controller.logs import recorded_of
from controller.remarks import warnings_to
from controller.selectors import select_one, select_task
from controller.waiting import until_ended
from controller.wiring import Parts, open_parts
from runner.configuration import load_settings
from runner.errors import RunnerError
from runner.model import Status
from runner.records import UNRECORDED, Counts, JobRecord, TaskRecord
from runner.settings import Settings

T = TypeVar("T")
StrPath = str | os.PathLike[str]

PAGE = 1000

log = logging.getLogger("controller")


class JobFailed(RunnerError):  # it names what is the case, not a mistake
    """Raised by `Job.raise_for_status`: the job ended and did not succeed."""


class Job:
    """A submitted job. Every method asks the ledger anew; raises StorageError where that cannot be read."""

    def __init__(self, settings: Settings, record: JobRecord) -> None:
        self._settings = settings
        self.id = record.job.id
        self.name = record.job.name
        self.size = record.job.array.size

    def __repr__(self) -> str:
        return f"Job({self.id!r}, name={self.name!r}, size={self.size})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def status(self) -> Status:
        return self._record().status

    def counts(self) -> Counts:
        return self._record().counts

    def wait(self, timeout: float | None = None) -> Status:
        """Until it has ended. Unless somebody else supervises, does the work meanwhile, on this machine.

        Raises TimeoutError after `timeout` seconds; the job goes on when somebody supervises.
        """

        async def work(parts: Parts) -> Status:
            async with asyncio.timeout(timeout):
                ended = await until_ended(parts, [self.id])
            return ended[0].status

        with warnings_to(log.warning):
            return self._call(work)

    def raise_for_status(self) -> None:
        """Raises JobFailed, with the reason, if it ended without success."""
        record = self._record()
        if record.status in (Status.FAILED, Status.CANCELLED):
            failed = f"{record.counts.failed} of {self.size} tasks failed"
            reason = record.ending.reason if record.ending else failed
            message = f"{describe(record)} {record.status}: {reason}"
            raise JobFailed(message)

    def tasks(self, status: Status | None = None) -> Iterator[TaskRecord]:
        """Its tasks by index, of one status or all. Reads them a page at a time."""
        last = -1
        while page := self._page(status, last):
            yield from page
            last = page[-1].task.index

    def logs(self, index: int = 0, attempt: int | None = None) -> bytes:
        """What one task wrote, in its latest attempt or the one given; nothing if it has not begun."""

        async def work(parts: Parts) -> bytes:
            _, task = await select_task(parts.records, f"{self.id}/{index}")
            record = await parts.records.task(task)
            number = attempt or (record.attempt if record else 0)
            recorded = await recorded_of(parts.records, record, number) if record else UNRECORDED
            return b"".join([data async for data in parts.logs.read(task, number, 0, recorded)])

        return self._call(work)

    def cancel(self) -> bool:
        """False if it had ended already."""

        async def work(parts: Parts) -> bool:
            record = await self._read(parts)
            cancelled = await submission.cancel(parts.records, record, parts.now)
            if cancelled and (trouble := await stop_elsewhere(parts, record)):
                log.warning("%s goes on elsewhere until somebody supervises: %s", self.id, trouble)
            return cancelled

        return self._call(work)

    def retry(self, *, downstream: bool = False) -> int:
        """Open again the tasks that failed or were cancelled, and return how many.

        `downstream`: also the jobs that ended only because this one failed.
        """

        async def work(parts: Parts) -> int:
            record = await self._read(parts)
            reopened = await submission.retry(parts.records, record, parts.now, downstream=downstream)
            return sum(each.tasks for each in reopened)

        return self._call(work)

    def _page(self, status: Status | None, after: int) -> list[TaskRecord]:
        async def work(parts: Parts) -> list[TaskRecord]:
            wanted = () if status is None else (status,)
            found = list_tasks(parts.records, await self._read(parts), wanted, PAGE, after=after)
            return [task async for task in found]

        return self._call(work)

    def _record(self) -> JobRecord:
        return self._call(self._read)

    async def _read(self, parts: Parts) -> JobRecord:
        return await select_one(parts.records, self.id)

    def _call(self, work: Callable[[Parts], Awaitable[T]]) -> T:
        return _run(self._settings, work)


class JobKeys(TypedDict, total=False):
    """What `submit` takes: the keys of a job file, with the same meaning and defaults (docs/jobfile.md)."""

    name: str
    image: str | None
    command: str | Sequence[str]
    array: int | str | Sequence[int] | Mapping[str, Any] | None
    each_line: StrPath | None
    items: StrPath | Sequence[object] | None
    allow_duplicates: bool
    env: Mapping[str, str]
    vcpus: float
    memory: int | str
    timeout: float | str | None
    grace: float | str
    pids: int
    retries: int | Mapping[str, Any]
    queue: str
    backend: str | None
    emr: Mapping[str, Any]
    after: str | Job | Sequence[str | Job]
    max_parallel: int | None
    mounts: Sequence[str | Mapping[str, Any]]
    secrets: Mapping[str, Mapping[str, str]]
    sidecars: Sequence[Mapping[str, Any]]
    role: str | None
    idempotency_key: str | None


def submit(
    *,
    file: StrPath | None = None,
    config: StrPath | None = None,
    user: str | None = None,
    **keys: Unpack[JobKeys],
) -> Job:
    """Submit a job and return at once; `Job.wait` then does the work where nobody else does.

    The keys go before those of the job file `file`. A `command` that is one text is a shell's. `after` takes
    jobs and selectors. `config` is the settings file. `user`: in whose name, else RUNNER_USER's, else this user's.
    Raises BadInput, NotFound, Conflict, Unavailable.
    """
    settings = _settings(config)
    given: dict[str, object] = {**keys, "after": _selectors(keys.get("after", ()))}
    if file is None and "name" not in keys:
        given["name"] = "job"
    draft = checked_draft(settings, None if file is None else Path(file), given, argument)

    async def work(parts: Parts) -> JobRecord:
        await check_engine(settings, draft.job)
        return (await submit_draft(parts, draft, user)).record

    return Job(settings, _run(settings, work))


def job(selector: str, *, config: StrPath | None = None) -> Job:
    """The job of that id, unique beginning of one, or name (its latest); or the `last`.

    Raises NotFound, BadInput.
    """
    settings = _settings(config)
    return Job(settings, _run(settings, lambda parts: select_one(parts.records, selector)))


def _selectors(after: str | Job | Sequence[str | Job]) -> list[str]:
    jobs = [after] if isinstance(after, str | Job) else after
    return [one.id if isinstance(one, Job) else one for one in jobs]


def _settings(config: StrPath | None) -> Settings:
    return load_settings(None if config is None else Path(config), os.environ, Path.cwd())


def _run(settings: Settings, work: Callable[[Parts], Awaitable[T]]) -> T:
    """In an event loop of its own; in a thread of its own where one runs already, as in a notebook."""

    async def opened() -> T:
        async with open_parts(settings) as parts:
            return await work(parts)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(opened())
    return _aside(opened())


def _aside(work: Coroutine[Any, Any, T]) -> T:
    """Interrupted, it ends what it began before it raises: nothing goes on behind the caller's back."""
    loop = asyncio.new_event_loop()
    doing = loop.create_task(work)
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(_finish, loop, doing)
        try:
            return done.result()
        except BaseException:
            if not done.done():
                loop.call_soon_threadsafe(doing.cancel)
            raise


def _finish(loop: asyncio.AbstractEventLoop, doing: asyncio.Task[T]) -> T:
    try:
        return loop.run_until_complete(doing)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
