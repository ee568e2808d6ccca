"""What the scenarios of machines have in common: what they took, what they say of themselves, engines that hang, their
groups."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from controller.simulation.clock import Process
from controller.simulation.history import Event
from controller.simulation.machine import Machine
from controller.simulation.services.autoscaling_group import Group
from controller.simulation.world import World
from runner.codec import decode_note
from runner.records import HostReport
from tests.simulation.faults.scenes import kinds, of_message, seen


async def report_of(world: World, machine: Machine) -> HostReport:
    return next(report for report in await world.records.hosts() if report.host == machine.id)


def kept(world: World, machine: Machine, since: float, until: float = inf) -> list[Event]:
    """What it took from the queue since then and did not give back at once. A long poll that was under way may still
    bring something."""
    return [
        event
        for event in world.history.of("received")
        if event.by.startswith(f"{machine.id}/")
        and since < event.at < until
        and not any(0 <= back.at - event.at < 1 for back in of_message(world, "shown", event.more["message"]))
    ]


def charged(world: World, task: str) -> list[tuple[int, int]]:
    """To the user and to the infrastructure, attempt by attempt."""
    return [(event.more["user"], event.more["infra"]) for event in seen(world, "recorded", task)]


def told(world: World, machine: Machine, what: str) -> list[Event]:
    """What its agent logged."""
    found = world.history.of("says", subject=what.replace(" ", "-"))
    return [event for event in found if event.by.startswith(f"{machine.id}/")]


def trouble(world: World, machine: Machine, seconds: float) -> None:
    """The checker is told for how long nobody can end what runs there."""
    world.history.add("engine-trouble", machine.id, seconds=seconds)


async def hang(world: World, machine: Machine, seconds: float) -> None:
    trouble(world, machine, seconds)
    machine.site.daemon.hung = True
    await asyncio.sleep(seconds)
    machine.site.daemon.hung = False


def ask(world: World, operation: str, **parameters: Any) -> None:
    """As somebody else does, of Auto Scaling."""
    world.network.nobody_asks()
    world.autoscaling.answer(operation, parameters)


def group_of(world: World, environment: str = "spot") -> Group:
    return world.autoscaling.groups[world.fleet.group(environment)]


def launched(world: World, environment: str = "spot") -> list[Event]:
    name = world.fleet.group(environment)
    return [event for event in world.history.of("launched") if event.more["group"] == name]


def ran_once_each(world: World, job: str, tasks: int) -> bool:
    return all(kinds(world, f"{job}/{index}") == ["succeeded"] for index in range(tasks))


async def reasons(world: World) -> str:
    """What whoever leads tells of the environments."""
    ledger = world.of.ledger(Process("observer"), world.aws, "observer", world.random("observer"))
    return str(decode_note((await ledger.supervision()).note).reasons)
