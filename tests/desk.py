"""An installation in a folder, its commands called in this process, its tasks ended without any agent."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from controller.cli.main import cli
from controller.model import EnvironmentCapacity
from controller.supervisor import Supervisor
from controller.wiring import Parts, open_parts
from runner import retry
from runner.adapters.files import FileLogs
from runner.configuration import load_settings
from runner.model import Attempt, Kind, Lease, Outcome
from runner.routing import LOCAL
from runner.settings import Settings

HOST = "local-1"
STARTED, FINISHED = 1_700_000_000.0, 1_700_000_002.0


def ended(kind: Kind = Kind.SUCCEEDED, **more: Any) -> Outcome:
    code = {Kind.SUCCEEDED: 0, Kind.FAILED: 3}.get(kind)
    known = Outcome(kind, exit_code=code, started_at=STARTED, finished_at=FINISHED)
    return replace(known, **more)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.environment = {
            "RUNNER_HOME": str(self.home),
            "RUNNER_ENGINE": "process",
            "RUNNER_CONFIG": None,
            "COLUMNS": "200",
        }

    @property
    def settings(self) -> Settings:
        given = {name: value for name, value in self.environment.items() if value}
        return load_settings(None, given, self.home.parent)

    def call(self, *arguments: str, **more: Any) -> Result:
        return CliRunner(env=self.environment).invoke(
            cli, arguments, prog_name="runner-controller", catch_exceptions=False, **more
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The command in a process of its own."""
        given = {name: value for name, value in self.environment.items() if value}
        return subprocess.Popen(
            [sys.executable, "-m", "controller.cli.main", *arguments],
            env={**os.environ, **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def out(self, *arguments: str) -> str:
        """What a command that must succeed prints."""
        result = self.call(*arguments)
        assert result.exit_code == 0, (result.exit_code, result.stdout, result.stderr)
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.out(*arguments, "--output", "json"))

    def submit(self, *arguments: str) -> str:
        """The id of a job that nobody runs."""
        tail = () if "--" in arguments else ("--", "true")
        return self.out("submit", "--output", "quiet", *arguments, *tail).strip()

    def work(
        self,
        how: Callable[[Attempt], Outcome | None] = lambda _: ended(),
        *,
        output: Callable[[Attempt], bytes] = lambda _: b"",
        rounds: int = 1,
    ) -> None:
        """Begin every task that is on a queue and end it as `how` says; None leaves it running."""
        asyncio.run(self._work(how, output, rounds))

    async def _work(
        self, how: Callable[[Attempt], Outcome | None], output: Callable[[Attempt], bytes], rounds: int
    ) -> None:
        async with open_parts(self.settings) as parts:
            for _ in range(rounds):
                await self._work_once(parts, how, output)

    async def _work_once(
        self, parts: Parts, how: Callable[[Attempt], Outcome | None], output: Callable[[Attempt], bytes]
    ) -> None:
        leases = await parts.queue.receive(1000, wait=0, hide=60)
        # Together, so that the ledger can write them together.
        await asyncio.gather(*(_take(parts, lease, how, output) for lease in leases))

    def step(self) -> None:
        """What a supervisor does in one step, without starting any agent."""

        async def once() -> None:
            async with open_parts(self.settings) as parts:
                await idle_supervisor(parts).step()

        asyncio.run(once())


async def _take(
    parts: Parts, lease: Lease, how: Callable[[Attempt], Outcome | None], output: Callable[[Attempt], bytes]
) -> None:
    job = await parts.ledger.job(lease.task.job_id)
    assert job is not None
    attempt = await parts.ledger.begin(lease, job, f"{HOST}#1")
    assert isinstance(attempt, Attempt)
    logs = FileLogs(parts.settings.home / "logs", parts.settings.agent.log_limit)
    writer = logs.writer(attempt)
    writer.write(output(attempt))
    writer.close()
    outcome = how(attempt)
    if outcome is not None:
        verdict = retry.decide(job, attempt, outcome, 0.0)
        await parts.ledger.finish(attempt, outcome, verdict)
        await parts.queue.complete([lease])


def idle_supervisor(parts: Parts) -> Supervisor:
    return Supervisor(
        parts.records,
        parts.queue,
        NoFleet(),
        parts.now,
        holder="test",
        settings=parts.settings.supervisor,
        routes=parts.routes,
        missing_after=60,
        backends=parts.backends,
    )


class NoFleet:
    """One agent that is always there, and does nothing."""

    trouble = ""

    async def capacity(self) -> Mapping[str, EnvironmentCapacity]:
        return {LOCAL: EnvironmentCapacity(LOCAL, 1, 1, pending=0, minimum=0, maximum=1)}

    async def resize(self, environment: str, desired: int) -> None:
        assert desired <= 1

    async def replace(self, environment: str, instance: str) -> None:
        raise AssertionError(instance)

    async def stop(self) -> None:
        """There is nothing to stop."""


def by_index(outcomes: Mapping[int, Outcome | None]) -> Callable[[Attempt], Outcome | None]:
    """Tasks by their index; those not named succeed."""
    return lambda attempt: outcomes.get(attempt.task.index, ended())
