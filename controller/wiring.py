"""The one place in this package that names adapters: from settings to everything the commands work with."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from controller.ports import Records
from runner.ports import Clock, Ledger, Logs, Manifests, Queue
from runner.settings import Settings
from runner.wiring import open_storage, wall_clock

if TYPE_CHECKING:
    from controller.adapters.processes import ProcessFleet
    from controller.supervisor import Supervisor


@dataclass(frozen=True)
class Parts:
    settings: Settings
    records: Records
    ledger: Ledger
    queue: Queue
    logs: Logs
    manifests: Manifests
    now: Clock

    # Imported when asked for: commands that only read start in half the time without supervisor and log.
    @cached_property
    def fleet(self) -> ProcessFleet:
        from controller.adapters.processes import ProcessFleet

        return ProcessFleet(self.settings)

    def supervisor(self) -> Supervisor:
        """One that may lead, in this process."""
        from controller.supervisor import Supervisor

        return Supervisor(
            self.records,
            self.queue,
            self.fleet,
            self.now,
            # A process may have several, of which one leads: a notebook that waits for two jobs at once.
            holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            settings=self.settings.supervisor,
            missing_after=2 * self.settings.agent.lease,
        )


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Raises StorageError."""
    async with open_storage(settings) as storage:
        yield Parts(
            settings=settings,
            records=storage.records,
            ledger=storage.ledger,
            queue=storage.queue,
            logs=storage.logs,
            manifests=storage.manifests,
            now=wall_clock,
        )


def process_environment(own: Mapping[str, str], scratch: str) -> dict[str, str]:
    """All variables of a task that runs as a process in the directory `scratch`, under no agent's name."""
    from runner.adapters.process.environment import inherited, task_environment

    return task_environment(inherited(os.environ), own, host="reproduce", scratch=scratch, mark="reproduce")
