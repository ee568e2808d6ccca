"""How large a fleet can be simulated, what it uses, and what the controller has to do as it grows.

Every run is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import scale_runs as runs
from benchmarks.commands import Measured, measure
from benchmarks.harness import Bench, Figure, Result
from benchmarks.scale_runs import LONGEST, SHORTEST, SLOTS, STEPS, TASK_SECONDS, TASKS
from runner.settings import FLEET_SUPERVISOR

REPOSITORY = Path(__file__).parents[1]

# Instances, with TASKS for each: of whole days with stand-ins for agents, with real ones, and of the model.
DAYS, QUICK_DAYS = (100, 333, 1000), (2, 4)
AGENTS_DAYS, QUICK_AGENTS_DAYS = (3, 10, 30), (1,)
MODELS, QUICK_MODELS = (100, 333, 1000), (2, 4)
# Instances of real agents, and until when, in seconds.
FLEETS: Mapping[int, float] = {1000: 480.0}
QUICK: Mapping[int, float] = {2: 900.0}
# Hosts and jobs of which the controller alone is measured, and how many tasks end within a second.
CROWDS = ((100, 1), (1000, 1), (1000, 100), (10_000, 1))
QUICK_CROWDS = ((50, 1), (50, 5))

# Dollars a million: see docs/cost.md. Writes and reads are DynamoDB's units.
PRICES = {"sqs": 0.40, "writes": 0.625, "reads": 0.125, "puts": 5.0}
HOUR = 3600.0


async def run(bench: Bench) -> Result:
    days = _each_size("day", QUICK_DAYS if bench.quick else DAYS)
    real = _each_size("agents_day", QUICK_AGENTS_DAYS if bench.quick else AGENTS_DAYS)
    models = _each_size("model", QUICK_MODELS if bench.quick else MODELS)
    figures = [
        *_figures("a day, stand-ins for agents", days, lambda found: _of_day(found) | _of_controller(found)),
        *_figures("a day, real agents", real, lambda found: _of_day(found) | _of_agents(found)),
        *_figures("a day, the model", models, _of_model),
        *_extrapolated(days, real),
    ]
    for instances, until in (QUICK if bench.quick else FLEETS).items():
        figures += _of_fleet(instances, _measured("fleet", instances=instances, until=until))
    for hosts, jobs in QUICK_CROWDS if bench.quick else CROWDS:
        figures += _of_crowd(hosts, jobs, _measured("crowd", hosts=hosts, jobs=jobs))
    return Result(
        name="scale",
        figures=figures,
        terms={
            "a day": f"one job at its beginning, {TASKS:,} tasks for each instance of {SLOTS} slots, {SHORTEST:g} to "
            f"{LONGEST:g} s each; 24 hours",
            "stand-ins for agents": "the real controller and adapters; of agents what they write, a second's at a time",
            "real agents": "all is real but AWS, the engine and the time",
            "the model": "the real scaling policy; all else is numbers; until the last instance has gone",
            "until, minutes of real agents": {
                f"{count:,}": f"{until:,.0f} s" for count, until in FLEETS.items()
            },
            "the controller alone": f"the median of {STEPS} steps over what so many hosts would have written",
            "supervisor.window": FLEET_SUPERVISOR.window,
        },
        not_measured=["a whole day of more real agents than shown", "anything on AWS"],
    )


Days = Mapping[int, Mapping[str, Any]]
"""What was found, by instances."""

Values = dict[tuple[str, str], float]
"""By name and unit."""


def _each_size(what: str, sizes: Sequence[int]) -> Days:
    return {count: _measured(what, instances=count, tasks=TASKS * count) for count in sizes}


def _measured(what: str, **given: float) -> dict[str, Any]:
    command = (sys.executable, "-m", "benchmarks.scale", json.dumps({"what": what, **given}))
    done: Measured = measure(command, {**os.environ, "PYTHONPATH": str(REPOSITORY)}, REPOSITORY)
    found: dict[str, Any] = json.loads(done.output)
    found |= {"wall": done.seconds, "memory": done.peak_memory / 1024**2}
    print(json.dumps({"what": what, **given, **found}), flush=True)
    return found


# what is kept of it


def _figures(kind: str, days: Days, values: Callable[[Mapping[str, Any]], Values]) -> Iterator[Figure]:
    for count, found in days.items():
        group = f"{kind}: {count:,} instances, {TASKS * count:,} tasks"
        yield from _each(group, values(found))


def _each(group: str, values: Values) -> Iterator[Figure]:
    return (Figure(group, name, unit, (value,)) for (name, unit), value in values.items())


def _of_model(found: Mapping[str, Any]) -> Values:
    return {
        ("processor time of the simulation", "s"): found["cpu"],
        ("wall-clock time", "s"): found["wall"],
        ("peak memory", "MiB"): found["memory"],
        ("instances at most", ""): found["most"],
        ("last task ended", "h"): found["ended"] / HOUR,
        ("last instance gone", "h"): found["emptied"] / HOUR,
    }


def _of_day(found: Mapping[str, Any]) -> Values:
    return {
        **_of_model(found),
        ("processor time until the last instance was gone", "s"): found["cpu_at_work"],
        ("processor time of the controller's steps", "s"): found["cpu_of_steps"],
        ("a step of the controller, virtual, median", "s"): found["step"],
        ("a step of the controller, virtual, longest", "s"): found["longest_step"],
        ("requests refused for want of units", ""): sum(found["refused"].values()),
    }


def _of_controller(found: Mapping[str, Any]) -> Values:
    return {
        (f"the controller: {name}", unit): value for (name, unit), value in _used(found, "controller").items()
    }


def _of_agents(found: Mapping[str, Any]) -> Values:
    tasks, used = found["tasks"], _used(found, "agents")
    dollars = used.pop(("list price", "$"))
    each = {(f"agents, a task: {name}", unit): value / tasks for (name, unit), value in used.items()}
    return {**each, ("agents, a million tasks: list price", "$"): dollars / tasks * 1e6}


def _used(found: Mapping[str, Any], who: str) -> Values:
    """`who` made these requests in the whole day."""
    services = Counter[str]()
    for name, count in found["requests"].items():
        by, service, _ = name.split()
        services[service] += count * (by == who)
    units = {name: found["units"].get(f"{who} {name}", 0.0) for name in ("writes", "reads")}
    puts = found["requests"].get(f"{who} s3 put_object", 0)
    return {
        ("SQS requests", ""): services["sqs"],
        ("DynamoDB requests", ""): services["dynamodb"],
        ("write units", ""): units["writes"],
        ("read units", ""): units["reads"],
        ("S3 PUTs", ""): puts,
        ("Auto Scaling requests", ""): services["autoscaling"],
        ("list price", "$"): _dollars({"sqs": services["sqs"], "puts": puts, **units}),
    }


def _dollars(used: Mapping[str, float]) -> float:
    return sum(PRICES[name] * count for name, count in used.items()) / 1e6


def _extrapolated(days: Days, real: Days) -> Iterator[Figure]:
    """To the largest day: from the largest of real agents by tasks."""
    (instances, day), (count, agents) = max(days.items()), max(real.items())
    kind = f"requests of a day of {instances:,} instances and {TASKS * instances:,} tasks"
    theirs = {key: value * instances / count for key, value in _used(agents, "agents").items()}
    own = _used(day, "controller")
    yield from _each(f"{kind}: agents, extrapolated from {count}", theirs)
    yield from _each(f"{kind}: the controller, simulated", own)
    yield from _each(f"{kind}: together", {key: value + own[key] for key, value in theirs.items()})
    if len(real) > 1:
        group = f"that day with real agents: extrapolated from {min(real)} and {count} instances"
        units = {("processor time", "s"): "cpu", ("memory", "MiB"): "memory"}
        yield from _each(group, {key: _on_a_line(real, name, instances) for key, name in units.items()})


def _on_a_line(real: Days, name: str, instances: int) -> float:
    (few, less), (many, more) = min(real.items()), max(real.items())
    slope = (more[name] - less[name]) / (many - few)
    value: float = more[name] + slope * (instances - many)
    return value


def _of_fleet(instances: int, found: Mapping[str, Any]) -> list[Figure]:
    group, tasks = f"minutes, real agents: {instances:,} instances", found["running"] / TASK_SECONDS
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
    return list(_each(group, values))


def _cost(services: Mapping[str, float], found: Mapping[str, Any]) -> float:
    """Dollars a second."""
    used = {
        "sqs": services.get("sqs", 0.0),
        "writes": sum(found["writes"].values()),
        "reads": sum(found["reads"].values()),
        "puts": found["requests"].get("s3 put_object", 0.0),
    }
    return _dollars(used)


def _of_crowd(hosts: int, jobs: int, found: Mapping[str, Any]) -> list[Figure]:
    group, steps = f"the controller alone: {hosts:,} hosts, {jobs:,} jobs", found["steps"]
    names = {"seconds": "s, virtual", "cpu": "s", "requests": "", "reads": "units", "sent": "tasks"}
    kept = [
        Figure(group, f"a step: {name}", unit, tuple(step[name] for step in steps))
        for name, unit in names.items()
    ]
    whole = {("tasks at once", ""): found["running"], ("peak memory", "MiB"): found["memory"]}
    return [*kept, *_each(group, whole)]


def main() -> None:
    case = json.loads(sys.argv[1])
    found = getattr(runs, f"simulate_{case.pop('what')}")(**case)
    print(json.dumps(case | found))


if __name__ == "__main__":
    main()
