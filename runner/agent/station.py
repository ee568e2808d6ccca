"""All that executions work with: the same for every task of one agent."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runner.agent.heartbeat import Heartbeat
from runner.agent.jobs import Jobs
from runner.agent.journal import Journal
from runner.agent.removals import Removals
from runner.agent.room import Room
from runner.errors import StartError
from runner.model import Job
from runner.ports import Clock, Engine, Host, Ledger, Logs, Manifests, Queue, Secrets


@dataclass(frozen=True)
class Station:
    owner: str
    host: Host
    queue: Queue
    ledger: Ledger
    engines: Mapping[str, Engine]
    logs: Logs
    manifests: Manifests
    secrets: Secrets
    jobs: Jobs
    heartbeat: Heartbeat
    journal: Journal
    removals: Removals
    room: Room
    now: Clock
    only_engine: str | None = None
    jitter: Callable[[], float] = random.random

    def engine_for(self, job: Job) -> Engine:
        """By whether the job has an image, unless one engine is to run everything. Raises StartError."""
        wanted = self.only_engine or ("docker" if job.image else "process")
        try:
            return self.engines[wanted]
        except KeyError:
            message = f"this host has no {wanted} engine (it has: {', '.join(self.engines) or 'none'})"
            raise StartError(message) from None
