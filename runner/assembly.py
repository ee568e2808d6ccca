"""Puts an agent together from settings, runs it under the host's lock, and takes it apart again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runner.agent.heartbeat import Heartbeat
from runner.agent.identity import HostLock, new_incarnation
from runner.agent.jobs import Jobs
from runner.agent.journal import Journal
from runner.agent.loop import Agent
from runner.agent.pulse import Pulse
from runner.agent.removals import Removals
from runner.agent.room import Room
from runner.agent.station import Station
from runner.agent.upkeep import Terms
from runner.errors import Unavailable
from runner.ports import Engine
from runner.records import HostReport
from runner.settings import Settings
from runner.wiring import (
    Storage,
    host_state,
    local_host,
    local_secrets,
    open_engines,
    open_storage,
    wall_clock,
)

REMOVALS_PER_SLOT = 2


async def run_agent(settings: Settings, host: str, *, local: bool) -> None:
    """Until drained. Raises Unavailable if this host has an agent, or a service it needs does not answer."""
    state = host_state(settings, host)
    with HostLock(state):
        async with open_storage(settings) as storage:
            await _run_locked(settings, host, state, storage, local=local)


async def _run_locked(settings: Settings, host: str, state: Path, storage: Storage, *, local: bool) -> None:
    incarnation = new_incarnation()
    room = Room(local_host(settings, host).capacity(), settings.agent.prefetch)
    engines = open_engines(settings, host, room.slots)
    pulse = Pulse(state / "pulse", incarnation)
    journal = Journal(state / "journal")
    try:
        heartbeat = Heartbeat(
            storage.queue,
            storage.ledger,
            lease=settings.agent.lease,
            beat=settings.agent.beat,
            pulse=pulse.beat,
        )
        station = _station(settings, f"{host}#{incarnation}", storage, engines, heartbeat, journal, room)
        trouble = await station.examine_engines()
        if trouble and settings.engine == "docker":
            raise Unavailable(trouble)
        agent = Agent(station, _report(settings, station, incarnation, engines), _terms(settings, local))
        pulse.beat()
        _start_watchdog(settings, host, incarnation)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, agent.drain)
        await agent.run()
        pulse.end()
    finally:
        journal.close()
        for engine in engines.values():
            await engine.close()


def _station(
    settings: Settings,
    owner: str,
    storage: Storage,
    engines: Mapping[str, Engine],
    heartbeat: Heartbeat,
    journal: Journal,
    room: Room,
) -> Station:
    return Station(
        owner=owner,
        host=local_host(settings, owner.partition("#")[0]),
        queue=storage.queue,
        ledger=storage.ledger,
        engines=engines,
        logs=storage.logs,
        manifests=storage.manifests,
        secrets=local_secrets(),
        jobs=Jobs(storage.ledger),
        heartbeat=heartbeat,
        journal=journal,
        removals=Removals(REMOVALS_PER_SLOT * room.slots),
        room=room,
        now=wall_clock,
    )


def _terms(settings: Settings, local: bool) -> Terms:
    if not local:
        return Terms(drain=settings.agent.drain)
    return Terms(drain=settings.agent.drain, idle=settings.agent.idle, unsupervised=settings.supervisor.lease)


def _report(
    settings: Settings, station: Station, incarnation: str, engines: Mapping[str, Engine]
) -> HostReport:
    capacity, now = station.room.capacity, station.now()
    return HostReport(
        host=station.host.name,
        incarnation=incarnation,
        state="running",
        vcpus=capacity.vcpus,
        memory=capacity.memory,
        free_vcpus=capacity.vcpus,
        free_memory=capacity.memory,
        tasks=0,
        engines=tuple(engines),
        queues=tuple(settings.queues),
        pid=os.getpid(),
        started_at=now,
        seen_at=now,
    )


def _start_watchdog(settings: Settings, host: str, incarnation: str) -> None:
    """In a session of its own: what stops or kills the agent's group must not reach it."""
    state = str(host_state(settings, host))
    arguments = [host, incarnation, str(os.getpid()), state, str(settings.agent.lease)]
    environment = {**os.environ, "RUNNER_HOME": str(settings.home), "RUNNER_ENGINE": settings.engine}
    if settings.source is not None:
        environment["RUNNER_CONFIG"] = settings.source
    subprocess.Popen(
        [sys.executable, "-m", "runner.cli.watchdog", *arguments],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
    )
