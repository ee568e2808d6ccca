"""What the scenarios of faults have in common: how they begin, what was seen of a task, who listens to a service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.simulation.clock import now
from controller.simulation.history import Event
from controller.simulation.machine import Machine
from controller.simulation.network import Service
from controller.simulation.play import a_fleet
from controller.simulation.world import World
from runner.adapters.dynamodb.leadership import Outlook
from runner.adapters.dynamodb.table import Table
from runner.aws import AwsError, Reply
from runner.codec import decode_note, encode_pointer
from runner.instances import KNOWN
from runner.model import TaskId
from runner.records import AttemptRecord, Note
from runner.settings import FLEET_AGENT, Environment, Settings

LEASE = FLEET_AGENT.lease
BEAT = FLEET_AGENT.beat


def one_kind(maximum: int = 4, kind: str = "m6i.large", **more: Any) -> Settings:
    """Spot machines alone: with 2 vCPUs, and so two places each."""
    return a_fleet(Environment("spot", (KNOWN[kind],), maximum=maximum), **more)


def time() -> float:
    return asyncio.get_running_loop().time()


def queue_of(world: World) -> str:
    """The SQS queue of the only channel."""
    (channel,) = world.routes.channels
    return world.fleet.queue_name(channel)


async def begun(world: World, **keys: Any) -> str:
    """A job that is enqueued, and then a controller: so that not both enqueue it."""
    job = await world.submit(**keys)
    world.start_controller()
    return job


async def three_on_two(world: World) -> tuple[str, Machine, Machine]:
    """A job of three tasks that run: two on the first machine, one on the second, which has a place to spare."""
    job = await begun(world, array=3)
    await world.until(lambda: sum(len(each.site.daemon.running) for each in world.alive) == 3)
    full, other = sorted(world.alive, key=lambda machine: -len(machine.site.daemon.running))[:2]
    assert len(full.site.daemon.running) == 2
    return job, full, other


async def one_runs(world: World, **keys: Any) -> tuple[str, Machine]:
    """A job of one task that runs, and its machine."""
    job = await begun(world, **keys)
    await world.until(lambda: any(machine.site.daemon.running for machine in world.alive))
    return job, next(machine for machine in world.alive if machine.site.daemon.running)


def tasks_on(machine: Machine) -> list[str]:
    return sorted(container.attempt.partition("#")[0] for container in machine.site.daemon.running)


def send_again(world: World, task: str) -> str:
    """As whoever enqueues it does after a crash. Returns the message's id."""
    job, _, index = task.partition("/")
    world.sqs.put(queue_of(world), encode_pointer(TaskId(job, int(index))))
    return str(list(world.history.of("sent", subject=task))[-1].more["message"])


def of_message(world: World, what: str, message: str) -> list[Event]:
    return [event for event in world.history.of(what) if event.more["message"] == message]


def seen(world: World, what: str, task: str) -> list[Event]:
    return list(world.history.of(what, subject=task))


def kinds(world: World, task: str) -> list[str]:
    """How its attempts ended, in order."""
    return [event.more["kind"] for event in seen(world, "recorded", task)]


def hosts(world: World, task: str) -> list[str]:
    """Whose attempts they were."""
    return [event.more["owner"].partition("#")[0] for event in seen(world, "begun", task)]


def said(world: World, what: str, **more: str) -> list[Event]:
    """What the product logged."""
    return [
        event
        for event in world.history.of("says", subject=what.replace(" ", "-"))
        if all(event.more.get(name) == value for name, value in more.items())
    ]


def never_two_at_once(world: World, task: str) -> bool:
    runs = 0
    for event in world.history.of("container-started", "container-ended", subject=task):
        runs += 1 if event.what == "container-started" else -1
        if runs > 1:
            return False
    return True


async def attempts(world: World, job: str, index: int = 0) -> list[AttemptRecord]:
    found = await world.records.attempts(TaskId(job, index))
    return sorted(found, key=lambda each: each.number)


async def published(world: World) -> Note:
    """What the leader last told the agents and the people."""
    table = Table(world.aws, world.fleet.table, lambda: 0.0)
    return decode_note((await Outlook(table, now).look()).note)


@dataclass(frozen=True, slots=True)
class Call:
    """`reply` None: it was refused, with `code`."""

    at: float
    by: str
    operation: str
    parameters: Mapping[str, Any]
    reply: Reply | None
    code: str = ""


@dataclass
class Tap:
    """A service that is listened to. `instead` may answer in its place; None: it does not."""

    world: World
    inner: Service
    instead: Callable[[str, dict[str, Any]], Reply | None] = lambda _operation, _parameters: None
    calls: list[Call] = field(default_factory=list)

    def answer(self, operation: str, parameters: dict[str, Any], /) -> Reply | Awaitable[Reply]:
        try:
            reply = self.instead(operation, parameters) or self.inner.answer(operation, parameters)
        except AwsError as error:
            self._note(operation, parameters, None, error.code)
            raise
        self._note(operation, parameters, {} if isinstance(reply, Awaitable) else reply)
        return reply

    def of(self, *operations: str, by: str = "") -> list[Call]:
        return [call for call in self.calls if call.operation in operations and call.by.startswith(by)]

    def _note(self, operation: str, parameters: dict[str, Any], reply: Reply | None, code: str = "") -> None:
        caller = self.world.network.caller
        self.calls.append(Call(time(), caller, operation, parameters, reply, code))


def tap(world: World, service: str) -> Tap:
    listening = Tap(world, world.network.services[service])
    # The world's own look at its services goes past it.
    world.network.services = {**world.network.services, service: listening}
    return listening
