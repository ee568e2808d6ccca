"""An installation of ours in a directory of its own, with a warm agent, and jobs timed through it.

The agent is `runner-agent`, a process as users have it. Submitting and supervising happen in this process,
with the parts that `runner-controller submit --wait` is made of.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from controller.submission import new_job_id, submit
from controller.wiring import Parts, open_parts
from runner.agent.pulse import read as read_pulse
from runner.array import Array
from runner.configuration import load_settings
from runner.model import Job, Limits, Status
from runner.settings import Settings
from runner.wiring import host_state

# The name the supervisor's own fleet would give its first agent: so it finds one there and starts no other.
HOST = "local-1"

LOOK = 0.05
PATIENCE = 30.0
MEMORY = 64 * 1024**2

AGENT = ("-m", "runner.cli.agent")


@dataclass(frozen=True)
class Installation:
    parts: Parts
    agent: subprocess.Popen[bytes]

    async def run(self, command: Sequence[str], size: int, image: str | None = None) -> float:
        """Seconds from submitting an array of `size` to its job's end. Each task takes one vCPU."""
        job = Job(
            id=new_job_id(),
            name="benchmark",
            command=tuple(command),
            array=Array.of_size(size),
            image=image,
            limits=Limits(vcpus=1, memory=MEMORY),
            created_at=self.parts.now(),
        )
        begun = time.perf_counter()
        parts = self.parts
        await submit(parts.records, parts.queue, job, parts.settings.supervisor.window, parts.routes)
        supervising = asyncio.create_task(self.parts.supervisor().run())
        try:
            await self._ended(job)
        finally:
            supervising.cancel()
            with suppress(asyncio.CancelledError):
                await supervising
        return time.perf_counter() - begun

    async def _ended(self, job: Job) -> None:
        while True:
            record = await self.parts.records.job(job.id)
            assert record is not None
            if record.status.terminal:
                break
            if self.agent.poll() is not None:
                message = "the agent has ended"
                raise RuntimeError(message)
            await asyncio.sleep(LOOK)
        if record.status is not Status.SUCCEEDED:
            message = f"the job ended {record.status}: {record.counts}"
            raise RuntimeError(message)


@asynccontextmanager
async def installation(
    home: Path, engine: str, vcpus: float | None = None, agent: Sequence[str] = AGENT
) -> AsyncIterator[Installation]:
    """With a running agent. `agent`: arguments to Python that start one. The agent is drained at the end."""
    settings = configure(home, engine, vcpus)
    with (home / "agent.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 it takes no time to start
            [sys.executable, *agent, "--host", HOST],
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        await _alive(settings, process)
        async with open_parts(settings) as parts:
            yield Installation(parts, process)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)


def configure(home: Path, engine: str, vcpus: float | None = None) -> Settings:
    """Settings kept in a file that the agent and the commands read as well."""
    home.mkdir(parents=True)
    file = home / "runner.yaml"
    file.write_text(json.dumps({"agent": {} if vcpus is None else {"vcpus": vcpus}}))
    given = {"RUNNER_CONFIG": str(file), "RUNNER_HOME": str(home), "RUNNER_ENGINE": engine}
    return load_settings(None, given, home)


def environment(settings: Settings) -> dict[str, str]:
    """What makes a command of ours use this installation."""
    return {
        **os.environ,
        "RUNNER_CONFIG": str(settings.source or settings.home / "runner.yaml"),
        "RUNNER_HOME": str(settings.home),
        "RUNNER_ENGINE": settings.engine,
    }


async def _alive(settings: Settings, agent: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while read_pulse(host_state(settings, HOST) / "pulse") is None:
        if agent.poll() is not None or time.monotonic() > deadline:
            message = f"the agent did not start; see {settings.home / 'agent.log'}"
            raise RuntimeError(message)
        await asyncio.sleep(LOOK)
