"""An agent as users have it, with a clock at every port: where the time of a task goes.

    python -m benchmarks.timeline --host NAME      with RUNNER_TIMELINE naming the file to write at the end

The ports are wrapped where the agent is put together; nothing within it knows of the clock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import assembly
from runner.cli.agent import main
from runner.model import Attempt, Job, Lease, Outcome, TaskId
from runner.ports import Container, ContainerSpec, Exit, LogWriter, Output
from runner.records import Refusal, Verdict
from runner.settings import Settings

FILE = "RUNNER_TIMELINE"

Marks = dict[str, dict[str, float]]
marks: Marks = defaultdict(dict)
"""By task: wall-clock times, epoch seconds, by what happened."""


def mark(task: TaskId, what: str) -> None:
    marks[str(task)][what] = time.time()


class Wrapped:
    """Passes on all but what a subclass times."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TimedQueue(Wrapped):
    async def receive(self, limit: int, *, wait: float, hide: float) -> Sequence[Lease]:
        leases: Sequence[Lease] = await self._inner.receive(limit, wait=wait, hide=hide)
        for lease in leases:
            mark(lease.task, "received")
        return leases

    async def complete(self, leases: Sequence[Lease]) -> None:
        await self._inner.complete(leases)
        for lease in leases:
            mark(lease.task, "acknowledged")


class TimedLedger(Wrapped):
    async def begin(self, lease: Lease, job: Job, owner: str) -> Attempt | Refusal:
        mark(lease.task, "beginning")
        begun: Attempt | Refusal = await self._inner.begin(lease, job, owner)
        mark(lease.task, "begun")
        return begun

    async def finish(self, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> bool:
        mark(attempt.task, "recording")
        stands: bool = await self._inner.finish(attempt, outcome, verdict)
        mark(attempt.task, "recorded")
        return stands


class TimedLogs(Wrapped):
    """A log is opened as soon as there is room for its task."""

    def writer(self, attempt: Attempt) -> LogWriter:
        mark(attempt.task, "in the room")
        writer: LogWriter = self._inner.writer(attempt)
        return writer


class TimedEngine(Wrapped):
    async def start(self, spec: ContainerSpec, output: Output) -> Container:
        job_id, _, index = spec.labels["attempt"].partition("#")[0].rpartition("/")
        task = TaskId(job_id, int(index))
        mark(task, "starting")
        container = await self._inner.start(spec, output)
        mark(task, "started")
        return TimedContainer(container, task)


class TimedContainer(Wrapped):
    def __init__(self, inner: Container, task: TaskId) -> None:
        super().__init__(inner)
        self._task = task

    async def wait(self) -> Exit:
        ended: Exit = await self._inner.wait()
        mark(self._task, "end known")
        marks[str(self._task)] |= {"running": ended.started_at, "ended": ended.finished_at}
        return ended

    async def remove(self) -> None:
        mark(self._task, "removing")
        await self._inner.remove()
        mark(self._task, "removed")


def install() -> None:
    """Have the agent put together with timed ports."""
    agent: Any = assembly
    equip = agent.equip

    @asynccontextmanager
    async def timed(settings: Settings, host: str) -> AsyncIterator[Any]:
        async with equip(settings, host) as equipment:
            ports: dict[str, Any] = {
                "queue": TimedQueue(equipment.queue),
                "ledger": TimedLedger(equipment.ledger),
                "logs": TimedLogs(equipment.logs),
                "engines": {name: TimedEngine(engine) for name, engine in equipment.engines.items()},
            }
            yield replace(equipment, **ports)

    agent.equip = timed


if __name__ == "__main__":
    install()
    try:
        main(sys.argv[1:], standalone_mode=False)
    finally:
        Path(os.environ[FILE]).write_text(json.dumps(marks))
