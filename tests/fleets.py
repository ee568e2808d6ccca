"""Fleets for tests: settings made of a few words, and jobs as the ledger would have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.array import Array
from runner.instances import KNOWN
from runner.model import Job, Limits
from runner.records import Counts, JobRecord
from runner.routing import Routes
from runner.settings import ON_DEMAND, AgentSettings, Environment, FleetSettings, QueueSettings

GIB = 1024**3
AGENT = AgentSettings(reserved_memory=0)


def environment(name: str, *types: str, maximum: int = 10, **more: Any) -> Environment:
    return Environment(name, tuple(KNOWN[each] for each in types), maximum=maximum, **more)


def on_demand(name: str, *types: str, **more: Any) -> Environment:
    return environment(name, *types, market=ON_DEMAND, spot_percent=0, **more)


def fleet_of(
    *environments: Environment, queues: Mapping[str, Sequence[str]] | None = None, **more: Any
) -> FleetSettings:
    """Queues map to environments, the first to the highest priority; without any there is `default` on all."""
    known = {each.name: each for each in environments}
    given = queues or {"default": list(known)}
    by_rank = {
        name: QueueSettings(len(given) - rank, tuple(of)) for rank, (name, of) in enumerate(given.items())
    }
    return FleetSettings("f", "us-east-1", "f", known, by_rank, **more)


def routes_of(*environments: Environment, **more: Any) -> Routes:
    return Routes(fleet_of(*environments, **more), AGENT)


def job_of(
    id: str = "a",  # noqa: A002  # the field's name
    tasks: int = 1,
    *,
    vcpus: float = 1.0,
    gib: float = 1.0,
    **more: Any,
) -> Job:
    limits = Limits(vcpus=vcpus, memory=int(gib * GIB))
    return Job(id, more.pop("name", id), ("x",), Array.of_size(tasks), limits=limits, **more)


def record_of(job: Job, counts: Counts | None = None, **more: Any) -> JobRecord:
    """Released, and nothing of it done yet."""
    waiting = counts or Counts(runnable=job.array.size)
    given: dict[str, Any] = {"queued": waiting.runnable + waiting.running, "released_at": 0.0, **more}
    return JobRecord(job, waiting, **given)
