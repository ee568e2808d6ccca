"""Puts an agent together from settings, runs it under the host's lock, and takes it apart again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace

from runner.agent.heartbeat import Heartbeat, patience
from runner.agent.identity import HostLock, new_incarnation, this_boot
from runner.agent.jobs import Jobs
from runner.agent.journal import Journal
from runner.agent.loop import Agent
from runner.agent.pulse import Pulse
from runner.agent.removals import Removals
from runner.agent.station import Station
from runner.agent.upkeep import Terms
from runner.errors import BadInput, Place, Unavailable
from runner.records import HostReport
from runner.settings import FleetSettings, Settings
from runner.wiring import Equipment, equip, host_state, service_notifier, wall_clock

REMOVALS_PER_SLOT = 2
# Of the minute that a service manager gives an agent beyond `agent.drain`: the rest is for recording and leaving.
STOPPING = 30.0


async def run_agent(settings: Settings, host: str, *, local: bool) -> None:
    """Until drained. In mode fleet the host's name is its instance id. Raises Unavailable if this host has an agent, or
    a service it needs does not answer."""
    if settings.machines is not None:
        await _run_on_instance(settings, settings.machines)
        return
    if settings.fleet is not None:
        message = "in mode batch there are no agents: AWS Batch runs the tasks"
        raise BadInput(message, Place(key="mode"))
    with HostLock(host_state(settings, host)):
        async with equip(settings, host) as equipment:
            await _run_locked(settings, new_incarnation(), equipment, _terms(settings, local))


async def _run_on_instance(settings: Settings, fleet: FleetSettings) -> None:
    # Imported here: what runs on a laptop must not pay for all of AWS.
    from runner.fleet_wiring import equip_instance, open_instance

    async with open_instance(fleet) as instance:
        with HostLock(host_state(settings, instance.name)):
            incarnation = new_incarnation()
            async with equip_instance(settings, fleet, instance, incarnation) as equipment:
                own = settings.agent
                terms = Terms(own.drain, idle=own.idle, confirm=own.confirm, grace=STOPPING)
                await _run_locked(settings, incarnation, equipment, terms)


async def _run_locked(settings: Settings, incarnation: str, equipment: Equipment, terms: Terms) -> None:
    host = equipment.host.name
    state = host_state(settings, host)
    pulse = Pulse(state / "pulse", incarnation, service_notifier())
    journal = Journal(state / "journal")
    try:

        def taken_over() -> None:
            pulse.begin()
            _start_watchdog(settings, host, incarnation)

        station = replace(_station(settings, incarnation, equipment, pulse, journal), taken_over=taken_over)
        trouble = await station.examine_engines()
        if trouble and "process" not in equipment.engines:
            raise Unavailable(trouble)
        agent = Agent(station, _report(station, incarnation, equipment), terms)
        pulse.beat()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, agent.drain)
        await agent.run()
        pulse.end()
    finally:
        journal.close()


def _station(
    settings: Settings, incarnation: str, equipment: Equipment, pulse: Pulse, journal: Journal
) -> Station:
    heartbeat = Heartbeat(
        equipment.queue,
        equipment.ledger,
        lease=settings.agent.lease,
        beat=settings.agent.beat,
        pulse=pulse.beat,
    )
    return Station(
        owner=f"{equipment.host.name}#{incarnation}",
        host=equipment.host,
        queue=equipment.queue,
        ledger=equipment.ledger,
        engines=equipment.engines,
        logs=equipment.logs,
        manifests=equipment.manifests,
        secrets=equipment.secrets,
        jobs=Jobs(equipment.ledger),
        heartbeat=heartbeat,
        journal=journal,
        removals=Removals(REMOVALS_PER_SLOT * equipment.room.slots),
        room=equipment.room,
        now=wall_clock,
        flush=equipment.flush,
        roles=equipment.roles,
        routes=equipment.routes,
        boot=this_boot(),
    )


def _terms(settings: Settings, local: bool) -> Terms:
    if not local:
        return Terms(drain=settings.agent.drain)
    return Terms(drain=settings.agent.drain, idle=settings.agent.idle, unsupervised=settings.supervisor.lease)


def _report(station: Station, incarnation: str, equipment: Equipment) -> HostReport:
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
        engines=tuple(equipment.engines),
        queues=equipment.channels,
        pid=os.getpid(),
        started_at=now,
        seen_at=now,
    )


def _start_watchdog(settings: Settings, host: str, incarnation: str) -> None:
    """In a session of its own: what stops or kills the agent's group must not reach it."""
    state = str(host_state(settings, host))
    arguments = [host, incarnation, str(os.getpid()), state, str(patience(settings.agent.lease))]
    environment = {**os.environ, "RUNNER_HOME": str(settings.home), "RUNNER_ENGINE": settings.engine}
    if settings.source is not None:
        environment["RUNNER_CONFIG"] = settings.source
    subprocess.Popen(
        [sys.executable, "-m", "runner.cli.watchdog", *arguments],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
    )
