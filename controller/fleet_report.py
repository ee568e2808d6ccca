"""What `fleet status` shows: machines, what was decided of them and why, channels, hosts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.model import EnvironmentCapacity
from controller.obstacles import SILENT_AFTER
from controller.scaling import retry_at
from runner.records import Backlog, HostReport, Note
from runner.routing import LOCAL, Routes

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class FleetView:
    """What one look saw. `note` is what the leader last published, `led` whether there is one."""

    capacity: Mapping[str, EnvironmentCapacity]
    backlog: Mapping[str, Backlog]
    hosts: Sequence[HostReport]
    note: Note
    led: bool
    routes: Routes
    now: float = 0.0


def environment_objects(view: FleetView) -> list[Json]:
    """By environment, in the order of the settings; the keys are documented in docs/cli.md."""
    return [_environment(view, each) for each in view.capacity.values()]


def environment_status(capacity: EnvironmentCapacity, now: float) -> str:
    """`short`: there are no more machines to be had; `growing`: more are coming; `steady`; `empty`."""
    missing, trouble = capacity.running < capacity.desired, capacity.trouble
    if trouble is not None and (missing or now < retry_at(trouble)):
        return "short"
    if missing:
        return "growing"
    return "steady" if capacity.running else "empty"


def host_status(host: HostReport, now: float) -> str:
    """`silent`: nothing was heard of it for long; otherwise what it last said of itself."""
    return "silent" if now - host.seen_at > SILENT_AFTER else host.state


def hosts_of(view: FleetView, environment: str) -> list[HostReport]:
    if environment == LOCAL:
        return list(view.hosts)
    own = {instance.id for instance in view.capacity[environment].instances}
    return [host for host in view.hosts if host.host in own]


def cost(view: FleetView, environment: str) -> float | None:
    """Dollars an hour of what runs, at most: at list price on demand. None where no price is known."""
    fleet = view.routes.fleet
    price = fleet.environments[environment].price if fleet is not None else None
    return None if price is None else price * view.capacity[environment].running


def _environment(view: FleetView, capacity: EnvironmentCapacity) -> Json:
    name, trouble = capacity.name, capacity.trouble
    return {
        "id": name,
        "status": environment_status(capacity, view.now),
        "desired": capacity.desired,
        "running": capacity.running,
        "pending": capacity.pending,
        "minimum": capacity.minimum,
        "maximum": capacity.maximum,
        "reason": view.note.reasons.get(name, ""),
        "trouble": trouble.reason if trouble is not None else None,
        "trouble_since": trouble.since if trouble is not None else None,
        "dollars_an_hour": cost(view, name),
        "channels": [_channel(view, channel) for channel in view.routes.channels_of(name)],
        "hosts": [_host(host, view.now) for host in hosts_of(view, name)],
    }


def _channel(view: FleetView, channel: str) -> Json:
    depth = view.backlog.get(channel)
    return {
        "id": channel,
        "demand": view.note.demand.get(channel, 0),
        "visible": depth.visible if depth else None,
        "in_flight": depth.in_flight if depth else None,
        "delayed": depth.delayed if depth else None,
    }


def _host(host: HostReport, now: float) -> Json:
    return {
        "id": host.host,
        "status": host_status(host, now),
        "tasks": host.tasks,
        "vcpus": host.vcpus,
        "memory": host.memory,
        "seen_at": host.seen_at,
        "note": host.note,
    }
