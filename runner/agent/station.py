"""All that executions work with: the same for every task of one agent."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from runner.agent.heartbeat import Heartbeat
from runner.agent.jobs import Jobs
from runner.agent.journal import Journal
from runner.agent.removals import Removals
from runner.agent.room import Room
from runner.errors import EngineUnavailable, StartError
from runner.model import Attempt, Job, TaskId
from runner.ports import Clock, Engine, Host, Ledger, Logs, Manifests, Queue, Roles, Secrets
from runner.routing import Routes
from runner.settings import Settings

log = structlog.get_logger()


async def nothing_lingers() -> None:
    return


def nobody_to_tell() -> None:
    return


class NoRoles:
    """Implements `runner.ports.Roles` where nobody can assume one."""

    async def grant(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        if job.role is not None:
            message = f"{attempt.task} is to act in the role {job.role}, and this host gives none: it needs mode fleet"
            raise StartError(message)
        return {}

    def withdraw(self, attempt: Attempt) -> None:
        """Nothing was granted."""


@dataclass(frozen=True)
class Station:
    """`ailing` tells of each engine why it does not answer, by name; an empty string or nothing: it does.

    `doubted`: tasks that another owner has and may have left, and the loop's time at which their messages show again.
    `boot` names this boot of the machine, in which all loops count the same time; an empty string: that is not known.
    `taken_over` hears that what an earlier agent left is renewed, and so is this one's to answer for.
    `flush`: what adapters hold back to send it in company (deletes, totals, logs) goes out; called at the end.
    """

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
    ailing: dict[str, str] = field(default_factory=dict)
    doubted: dict[TaskId, float] = field(default_factory=dict)
    jitter: Callable[[], float] = random.random
    flush: Callable[[], Awaitable[None]] = nothing_lingers
    boot: str = ""
    taken_over: Callable[[], None] = nobody_to_tell
    roles: Roles = field(default_factory=NoRoles)
    routes: Routes = field(default_factory=lambda: Routes.of(Settings()))

    async def confidential(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        """Variables of the attempt whose values must not be seen. Raises StartError, EngineUnavailable."""
        return {**await self.secrets.resolve(job), **await self.roles.grant(job, attempt)}

    def engine_for(self, job: Job) -> Engine:
        """Raises EngineUnavailable."""
        try:
            return self.engines[job.engine]
        except KeyError:
            raise EngineUnavailable(self.obstacle(job)) from None

    def obstacle(self, job: Job) -> str:
        """Why this host cannot run the job's tasks at present; an empty string: it can."""
        if job.engine not in self.engines:
            return f"this host has no {job.engine} engine (it has: {', '.join(self.engines) or 'none'})"
        return self.ailing.get(job.engine, "")

    async def examine_engines(self) -> str:
        """Ask each whether it answers. Returns why nothing at all can be run; an empty string: something can."""
        for name, engine in self.engines.items():
            trouble = await engine.check()
            if trouble != self.ailing.get(name, ""):
                log.warning("engine changed", engine=name, trouble=trouble)
            self.ailing[name] = trouble
        return next(iter(self.ailing.values()), "") if all(self.ailing.values()) else ""
