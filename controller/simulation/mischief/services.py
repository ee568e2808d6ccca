"""Mischief to controllers, to the services, and to what lies between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

from controller.simulation.controller import Controller
from controller.simulation.faults import Effect, Fault
from controller.simulation.mischief.act import Act, Undo, a_machine, picked
from controller.simulation.services.sqs import IN_FLIGHT_LIMIT
from controller.simulation.world import World


def _controller(world: World, act: Act) -> Controller | None:
    return picked([each for each in world.controllers.values() if each.process is not None], act.pick)


def kill_controller(world: World, act: Act) -> Undo:
    controller = _controller(world, act)
    if controller is not None:
        controller.kill(restart=10.0 + 80.0 * act.value**4)
    return None


def step_controllers_clock(world: World, act: Act) -> Undo:
    controller = _controller(world, act)
    if controller is not None and controller.process is not None:
        controller.process.skew += 600.0 * act.value - 300.0
    return None


def freeze_controller(world: World, act: Act) -> Undo:
    controller = _controller(world, act)
    if controller is None:
        return None
    controller.freeze()
    return controller.thaw


def another_controller(world: World, act: Act) -> Undo:
    world.start_controller(
        f"controller-{len(world.controllers) + 1}", skew=world.skew * (2.0 * act.value - 1.0)
    )
    return None


def network(world: World, act: Act) -> Undo:
    assert act.fault is not None
    fault = act.fault
    if fault.process == "machine":
        machine = a_machine(world, act)
        fault = replace(fault, process=f"{machine.id if machine else 'i'}/*")
    world.network.faults.append(fault)
    return lambda: world.network.faults.remove(fault)


def _behaving(behaviour: Any, **changes: float) -> Undo:
    for name, value in changes.items():
        setattr(behaviour, name, value)
    usual = {each.name: each.default for each in fields(behaviour)}

    def undo() -> None:
        for name in changes:
            setattr(behaviour, name, usual[name])

    return undo


def sqs_twice(world: World, act: Act) -> Undo:
    share = 0.5 * act.value
    return _behaving(world.sqs.behaviour, duplicates=share, ghosts=share / 2, stale=share)


def sqs_disorder(world: World, act: Act) -> Undo:
    return _behaving(world.sqs.behaviour, shuffled=True, short=act.value)


def sqs_entries(world: World, act: Act) -> Undo:
    return _behaving(world.sqs.behaviour, failing=0.8 * act.value)


def sqs_counts(world: World, act: Act) -> Undo:
    return _behaving(world.sqs.behaviour, lag=60.0 * act.value)


def sqs_crowded(world: World, _act: Act) -> Undo:
    return _behaving(world.sqs.behaviour, crowd=IN_FLIGHT_LIMIT)


def sqs_purged(world: World, act: Act) -> Undo:
    queue = picked([each for each in world.sqs.queues.values() if len(each)], act.pick)
    if queue is not None and queue.name != world.fleet.dead_letters:
        queue.clear()
    return None


def dynamodb_reads(world: World, act: Act) -> Undo:
    return _behaving(world.dynamodb.behaviour, lag=2.0 * act.value, unread=0.5 * act.value)


def dynamodb_writes(world: World, act: Act) -> Undo:
    return _behaving(world.dynamodb.behaviour, committing=0.5 * act.value, throttles=True)


# What a fault of the network may hit, and how: which services, whose requests.
SERVICES: Mapping[str, Sequence[str]] = {
    "*": ("*",),
    "dynamodb": (
        "*",
        "batch_execute_statement",
        "update_item",
        "put_item",
        "get_item",
        "batch_get_item",
        "query",
    ),
    "sqs": (
        "*",
        "*",
        "receive_message",
        "send_message*",
        "delete_message*",
        "change_message_visibility_batch",
        "get_queue_attributes",
    ),
    "autoscaling": ("*", "describe*", "set_desired_capacity", "terminate*"),
    "s3": ("*",),
}
OFTEN = ("*", "dynamodb", "dynamodb", "sqs", "sqs", "autoscaling", "s3")
WHOSE = ("*", "machine", "machine", "controller*", "submit*")
SHARES = (1.0, 1.0, 0.5, 0.1)


def a_network_fault(random: Random) -> Fault:
    effect = random.choice(list(Effect))
    seconds = random.uniform(0.5, 40.0) if effect is Effect.SLOW else 0.0
    service = random.choice(OFTEN)
    return Fault(
        effect,
        service=service,
        operation=random.choice(SERVICES[service]),
        process=random.choice(WHOSE),
        share=random.choice(SHARES),
        seconds=seconds,
    )
