"""Single runs of large installations, and what is read off them. Seconds are virtual, except those of `cpu`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from random import Random
from statistics import median
from typing import Any

from controller.simulation.clock import now
from controller.simulation.crowd import SECONDS, Crowd
from controller.simulation.metering import Meter, Reading, forget_history
from controller.simulation.model.conditions import Conditions
from controller.simulation.model.policy import Leaving
from controller.simulation.model.product import Product
from controller.simulation.model.run import Simulation
from controller.simulation.model.workload import GIB, Bag, Workload
from controller.simulation.play import a_fleet, play
from controller.simulation.stand_ins import StandIns
from controller.simulation.workload import Behave, Behaviour
from controller.simulation.world import World
from runner.array import MAX_ARRAY
from runner.instances import KNOWN
from runner.model import Status
from runner.records import JobRecord
from runner.routing import Routes
from runner.settings import FLEET_AGENT, FLEET_SUPERVISOR, ON_DEMAND, Environment, Settings

SLOTS = 16
# 1,000,000 tasks for 1,000 instances; with 16 at once each they keep a fleet busy for 5.2 hours.
TASKS = 1000
TASK_SECONDS = 300.0
SHORTEST, LONGEST = 60.0, 540.0  # evenly between, so that not all end at the same moment
MINUTE, DAY = 60.0, 86400.0
# Readings, a minute apart.
STEADY = 5
STEPS = 12
MOST_FILLING = 40
# Nobody waits for its slots to fill.
CROWDS_WINDOW = 100_000


def fleet(instances: int, window: int = FLEET_SUPERVISOR.window) -> Settings:
    environment = Environment(
        "fleet", (KNOWN["m6i.4xlarge"],), market=ON_DEMAND, spot_percent=0, maximum=instances
    )
    settings = a_fleet(environment)
    return replace(settings, supervisor=replace(settings.supervisor, window=window))


def simulate_fleet(instances: int, until: float, window: int = FLEET_SUPERVISOR.window) -> dict[str, Any]:
    """The real agents, for so long."""
    begun = time.process_time()

    async def scenario(world: World) -> dict[str, Any]:
        meter, readings = Meter(world), []
        forget_history(world)
        controller = world.start_controller()
        await world.submit(array=instances * TASKS, vcpus=1, memory="2GiB")
        await asyncio.sleep(1.0)
        assert controller.supervisor is not None
        meter.time_steps(controller.supervisor)
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(MINUTE)
            readings.append(meter.read())
        return told(readings, meter)

    found = play(scenario, settings=fleet(instances, window), behave=lasting())
    return found | {"cpu": time.process_time() - begun}


def lasting() -> Behave:
    random = Random("scale")
    return lambda _spec: Behaviour(random.uniform(SHORTEST, LONGEST))


def told(readings: list[Reading], meter: Meter) -> dict[str, Any]:
    busiest = max(reading.running for reading in readings)
    last = max(at for at, reading in enumerate(readings) if reading.running >= 0.95 * busiest)
    full = next(at for at, reading in enumerate(readings) if reading.running >= 0.95 * busiest)
    first, then = readings[max(full, last - STEADY)], readings[last]
    seconds, hours = then.at - first.at, (then.at - first.at) / 3600 * then.agents
    requests = _rates(first.requests, then.requests, seconds)
    return {
        "at": then.at,
        "agents": then.agents,
        "running": busiest,
        "in_flight": max(reading.in_flight for reading in readings),
        "visible": max(reading.visible for reading in readings),
        "cpu_per_agent_hour": (then.cpu - first.cpu) / max(hours, 1e-9),
        "agent_hours": sum(reading.agents for reading in readings) * MINUTE / 3600,
        "requests": {" ".join(key): rate for key, rate in requests.items()},
        "writes": _rates(first.writes, then.writes, seconds),
        "reads": _rates(first.reads, then.reads, seconds),
        "hottest_writes": meter.writing.hottest,
        "hottest_reads": meter.reading.hottest,
        "refused": dict(meter.writing.refused + meter.reading.refused),
        "all_requests": {" ".join(key): count for key, count in readings[-1].requests.items()},
        "all_writes": sum(readings[-1].writes.values()),
        "all_reads": sum(readings[-1].reads.values()),
        "step": median(step.seconds for step in meter.steps),
        "longest_step": max(step.seconds for step in meter.steps),
        "ramp": [(reading.at, reading.agents, reading.running) for reading in readings[:20]],
        "idle_cpu": readings[-1].cpu - readings[-61].cpu if len(readings) > 600 else None,
    }


def _rates(first: Mapping[Any, float], then: Mapping[Any, float], seconds: float) -> dict[Any, float]:
    return {
        key: (count - first.get(key, 0)) / seconds for key, count in then.items() if count != first.get(key)
    }


def simulate_crowd(hosts: int, jobs: int, tasks: int = 100_000_000) -> dict[str, Any]:
    """The real controller, over what so many hosts would have written. At a rate at which their tasks end."""

    async def scenario(world: World) -> dict[str, Any]:
        forget_history(world)
        crowd, meter = Crowd(world, hosts, SLOTS), Meter(world)
        meter.reading.free = meter.writing.free = True  # of what is written for the crowd at once
        await crowd.report()
        for number in range(jobs):
            await world.submit(
                name=f"job-{number}", array=max(1, min(MAX_ARRAY, tasks // jobs)), vcpus=1, memory="2GiB"
            )
        controller = world.start_controller()
        await asyncio.sleep(0.0)
        assert controller.supervisor is not None
        meter.time_steps(controller.supervisor)
        running, filled = -1, 0
        while running < hosts * SLOTS and filled < MOST_FILLING:
            await asyncio.sleep(5.0)
            running, filled = await crowd.work(0), filled + 1
        meter.steps.clear()
        due = 0.0
        while len(meter.steps) < STEPS:
            await asyncio.sleep(1.0)
            due += hosts * SLOTS / SECONDS
            meter.reading.free = meter.writing.free = True  # it works in no time
            running = await crowd.work(int(due))
            meter.reading.free = meter.writing.free = False
            due -= int(due)
        return {
            "running": running,
            "steps": [asdict(step) for step in meter.steps],
            "hottest_reads": meter.reading.hottest,
            "filled_after": filled * 5.0,
        }

    return play(scenario, settings=fleet(hosts, CROWDS_WINDOW))


def simulate_day(instances: int, tasks: int, until: float = DAY) -> dict[str, Any]:
    """The real controller for a whole day, and stand-ins for the agents."""
    random, begun = Random("scale"), time.process_time()

    async def scenario(world: World) -> dict[str, Any]:
        meter = Meter(world)
        forget_history(world)
        agents = StandIns(world, meter, SLOTS, lambda: random.uniform(SHORTEST, LONGEST))
        working = asyncio.ensure_future(agents.work())
        found = await _a_day(world, meter, tasks, until, begun)
        if working.done():
            working.result()
        working.cancel()
        return found | {"most": agents.most, "running": agents.most_running}

    found = play(scenario, settings=fleet(instances))
    return found | {"cpu": time.process_time() - begun}


def simulate_agents_day(instances: int, tasks: int, until: float = DAY) -> dict[str, Any]:
    """Everything is real, for a whole day."""
    begun = time.process_time()

    async def scenario(world: World) -> dict[str, Any]:
        meter = Meter(world)
        forget_history(world)
        found = await _a_day(world, meter, tasks, until, begun)
        return found | {"most": len(world.machines)}

    found = play(scenario, settings=fleet(instances), behave=lasting())
    return found | {"cpu": time.process_time() - begun}


async def _a_day(world: World, meter: Meter, tasks: int, until: float, begun: float) -> dict[str, Any]:
    """One job at its beginning. `begun`: the process's time. Returns once the day is over."""
    loop, controller = asyncio.get_running_loop(), world.start_controller()
    job = await world.submit(array=tasks, vcpus=1, memory="2GiB")
    await asyncio.sleep(1.0)
    assert controller.supervisor is not None
    meter.time_steps(controller.supervisor)
    while not (record := await _looked_at(world, meter, job)).status.terminal:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(MINUTE)
    ended = (record.last_finished_at or 0.0) - now() + loop.time()
    await world.until_empty(until)
    emptied, cpu, steps = loop.time(), time.process_time() - begun, len(meter.steps)
    await asyncio.sleep(until - emptied)
    assert (record.status, record.counts.succeeded) == (Status.SUCCEEDED, tasks), record.counts
    return {
        "ended": ended,
        "emptied": emptied,
        "cpu_at_work": cpu,
        "cpu_of_steps": sum(step.cpu for step in meter.steps),
        "step": median(step.seconds for step in meter.steps[:steps]),
        "step_cpu": median(step.cpu for step in meter.steps[:steps]),
        "longest_step": max(step.seconds for step in meter.steps),
        "requests": {" ".join(key): count for key, count in meter.asked.items()},
        "units": {" ".join(key): count for key, count in meter.used.items()},
        "hottest_writes": meter.writing.hottest,
        "hottest_reads": meter.reading.hottest,
        "refused": dict(meter.writing.refused + meter.reading.refused),
    }


async def _looked_at(world: World, meter: Meter, job: str) -> JobRecord:
    """By nobody who counts."""
    meter.reading.free = True
    try:
        return await world.job(job)
    finally:
        meter.reading.free = False


def simulate_model(instances: int, tasks: int) -> dict[str, Any]:
    """The real scaling policy over a model of all else, until the last machine has gone."""
    begun, random, settings = time.process_time(), Random("scale"), fleet(instances)
    routes = Routes.of(settings)
    bag = Bag("day", 0.0, [random.uniform(SHORTEST, LONGEST) for _ in range(tasks)], memory=2 * GIB)
    policy = Product(routes, Leaving(FLEET_AGENT.idle, FLEET_AGENT.confirm), settings.supervisor.interval)
    assert settings.fleet is not None
    done = Simulation(
        Workload("day", [bag]), routes, policy, Conditions(boot=settings.fleet.boot), "scale"
    ).run()
    return {
        "most": sum(len(machines) for machines in done.machines.values()),
        "ended": done.last_ended,
        "emptied": done.finished,
        "cpu": time.process_time() - begun,
    }
