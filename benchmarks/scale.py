"""How large a fleet can be simulated, what it uses, and what the controller has to do as it grows.

Every run is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.commands import Measured, measure
from benchmarks.harness import Bench, Figure, Result
from controller.simulation.crowd import SECONDS, Crowd
from controller.simulation.metering import Meter, Reading, forget_history
from controller.simulation.play import a_fleet, play
from controller.simulation.workload import Behave, Behaviour
from controller.simulation.world import World
from runner.array import MAX_ARRAY
from runner.instances import KNOWN
from runner.settings import ON_DEMAND, Environment, Settings

REPOSITORY = Path(__file__).parents[1]

SLOTS = 16
# 1,000,000 tasks for 1,000 instances; with 16 at once each they keep a fleet busy for 5.2 hours.
TASKS = 1000
TASK_SECONDS = 300.0
SHORTEST, LONGEST = 60.0, 540.0  # evenly between, so that not all end at the same moment
WINDOW = 100_000
MINUTE = 60.0

# Instances, and until when, in seconds.
FLEETS: Mapping[int, float] = {10: 3600.0, 100: 2400.0, 300: 600.0, 1000: 480.0}
QUICK: Mapping[int, float] = {2: 900.0, 4: 900.0}
# Hosts and jobs of which the controller alone is measured, and how many tasks end within a second.
CROWDS = ((100, 1), (1000, 1), (1000, 100), (10_000, 1))
QUICK_CROWDS = ((50, 1), (50, 5))
# Readings, a minute apart.
STEADY = 5
STEPS = 12
MOST_FILLING = 40

# Dollars a million: see docs/cost.md. Writes and reads are DynamoDB's units.
PRICES = {"sqs": 0.40, "writes": 0.625, "reads": 0.125, "puts": 5.0}


def fleet(instances: int, window: int = WINDOW) -> Settings:
    environment = Environment(
        "fleet", (KNOWN["m6i.4xlarge"],), market=ON_DEMAND, spot_percent=0, maximum=instances
    )
    settings = a_fleet(environment)
    return replace(settings, supervisor=replace(settings.supervisor, window=window))


async def run(bench: Bench) -> Result:
    figures: list[Figure] = []
    for instances, until in (QUICK if bench.quick else FLEETS).items():
        figures += _of_fleet(instances, _measured({"instances": instances, "until": until}))
    for hosts, jobs in QUICK_CROWDS if bench.quick else CROWDS:
        figures += _of_crowd(hosts, jobs, _measured({"hosts": hosts, "jobs": jobs}))
    return Result(
        name="scale",
        figures=figures,
        terms={
            "fleets": f"real agents with {SLOTS} slots each, {TASKS:,} tasks of {TASK_SECONDS:g} s for each instance",
            "until": {f"{instances:,} instances": f"{until:,.0f} s" for instances, until in FLEETS.items()},
            "steady": "what the last minutes took, five at most, in which nearly all slots were taken",
            "controller alone": f"the median of {STEPS} steps over what so many hosts would have written",
            "supervisor.window": WINDOW,
        },
        not_measured=["1,000 instances for longer than the minutes shown", "anything on AWS"],
    )


def _measured(case: Mapping[str, Any]) -> dict[str, Any]:
    command = (sys.executable, "-m", "benchmarks.scale", json.dumps(case))
    done: Measured = measure(command, {**os.environ, "PYTHONPATH": str(REPOSITORY)}, REPOSITORY)
    found: dict[str, Any] = json.loads(done.output)
    found |= {"wall": done.seconds, "memory": done.peak_memory / 1024**2}
    print(json.dumps(found), flush=True)
    return found


# one run


def simulate_fleet(instances: int, until: float, window: int = WINDOW) -> dict[str, Any]:
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

    return play(scenario, settings=fleet(hosts))


# what is kept of it


def _of_fleet(instances: int, found: Mapping[str, Any]) -> list[Figure]:
    group, tasks = f"{instances:,} instances", found["running"] / TASK_SECONDS
    services = Counter[str]()
    for name, rate in found["requests"].items():
        services[name.split()[0]] += rate
    cost = _cost(services, found)
    values = {
        ("virtual time until", "s"): found["at"],
        ("agents", ""): found["agents"],
        ("tasks at once", ""): found["running"],
        ("messages in flight", ""): found["in_flight"],
        ("processor time of the run", "s"): found["cpu"],
        ("wall-clock time of the run", "s"): found["wall"],
        ("peak memory", "MiB"): found["memory"],
        ("processor time for an agent's hour", "s"): found["cpu_per_agent_hour"],
        **{(f"steady: {service}", "requests/s"): rate for service, rate in sorted(services.items())},
        ("steady: write units", "/s"): sum(found["writes"].values()),
        ("steady: read units", "/s"): sum(found["reads"].values()),
        ("steady: requests for a million tasks", "$"): cost / max(tasks, 1e-9) * 1e6,
        **{
            (f"hottest {kind}, writes", "units/s"): most
            for kind, most in sorted(found["hottest_writes"].items())
        },
        **{
            (f"hottest {kind}, reads", "units/s"): most
            for kind, most in sorted(found["hottest_reads"].items())
        },
        ("controller's step", "s, virtual"): found["step"],
    }
    return [Figure(group, name, unit, (value,)) for (name, unit), value in values.items()]


def _cost(services: Mapping[str, float], found: Mapping[str, Any]) -> float:
    """Dollars a second."""
    used = {
        "sqs": services.get("sqs", 0.0),
        "writes": sum(found["writes"].values()),
        "reads": sum(found["reads"].values()),
        "puts": found["requests"].get("s3 put_object", 0.0),
    }
    return sum(PRICES[name] * rate for name, rate in used.items()) / 1e6


def _of_crowd(hosts: int, jobs: int, found: Mapping[str, Any]) -> list[Figure]:
    group, steps = f"controller alone: {hosts:,} hosts, {jobs:,} jobs", found["steps"]
    names = {"seconds": "s, virtual", "cpu": "s", "requests": "", "reads": "units", "sent": "tasks"}
    kept = [
        Figure(group, f"a step: {name}", unit, tuple(step[name] for step in steps))
        for name, unit in names.items()
    ]
    return [*kept, Figure(group, "peak memory", "MiB", (found["memory"],))]


def main() -> None:
    case = json.loads(sys.argv[1])
    print(json.dumps(simulate_fleet(**case) if "instances" in case else simulate_crowd(**case)))


if __name__ == "__main__":
    main()
