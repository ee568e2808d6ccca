"""What a nemesis may do to a world, by name: how it is drawn, done and undone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any, TypeVar

from controller.simulation.clock import outside
from controller.simulation.controller import Controller
from controller.simulation.faults import Effect, Fault
from controller.simulation.machine import Machine
from controller.simulation.world import World
from runner.adapters.ec2 import notices
from runner.codec import encode_pointer
from runner.errors import RunnerError
from runner.model import TaskId

T = TypeVar("T")
Undo = Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class Act:
    """`at` and for how many `seconds`, virtual ones. `pick` lies in [0, 1) and chooses among what there is then,
    `value` says how much; what else there is to know is in `fault`."""

    at: float
    what: str
    seconds: float = 0.0
    pick: float = 0.0
    value: float = 0.0
    fault: Fault | None = None

    def __str__(self) -> str:
        more = f": {self.fault}" if self.fault else ""
        for_so_long = f" for {self.seconds:.1f} s" if self.seconds else ""
        return (
            f"{self.at:8.1f}  {self.what}{for_so_long} (pick {self.pick:.3f}, value {self.value:.3f}){more}"
        )


@dataclass(frozen=True, slots=True)
class Mischief:
    """`longest`: of an act that lasts, in seconds. `do` returns how it is undone, if it is."""

    do: Callable[[World, Act], Undo]
    longest: float = 0.0
    often: float = 1.0


def picked(things: Sequence[T], pick: float) -> T | None:
    return things[int(pick * len(things))] if things else None


# agents and machines


def _machine(world: World, act: Act) -> Machine | None:
    """Rather one where something runs."""
    busy = [machine for machine in world.alive if machine.site.daemon.running]
    return picked(busy or world.alive, act.pick)


def to_a_machine(do: Callable[[World, Act, Machine], Undo]) -> Callable[[World, Act], Undo]:
    def done(world: World, act: Act) -> Undo:
        machine = _machine(world, act)
        return do(world, act, machine) if machine is not None else None

    return done


@to_a_machine
def kill_agent(_world: World, act: Act, machine: Machine) -> Undo:
    machine.kill_agent(restart=10.0 + 60.0 * max(0.0, act.value - 0.8))
    return None


@to_a_machine
def freeze_agent(_world: World, _act: Act, machine: Machine) -> Undo:
    machine.freeze_agent()
    return machine.thaw_agent


@to_a_machine
def stop_agent(_world: World, _act: Act, machine: Machine) -> Undo:
    machine.drain_agent()
    return None


@to_a_machine
def kill_watchdogs(_world: World, _act: Act, machine: Machine) -> Undo:
    machine.kill_watchdogs()
    return None


@to_a_machine
def step_clock(_world: World, act: Act, machine: Machine) -> Undo:
    machine.step_clock(600.0 * act.value - 300.0)
    return None


@to_a_machine
def lose_machine(world: World, _act: Act, machine: Machine) -> Undo:
    world.lose(machine)
    return None


@to_a_machine
def reclaim(world: World, act: Act, machine: Machine) -> Undo:
    world.reclaim(machine, notice=120.0 if act.value < 0.7 else 150.0 * (1.0 - act.value))
    return None


def reclaim_pool(world: World, act: Act) -> Undo:
    for machine in world.alive:
        world.reclaim(machine, notice=120.0 if act.value < 0.7 else 5.0)
    return None


@to_a_machine
def disk_full(_world: World, _act: Act, machine: Machine) -> Undo:
    machine.site.hardware.trouble = "disk space is low"
    return lambda: setattr(machine.site.hardware, "trouble", "")


@to_a_machine
def metadata_down(_world: World, _act: Act, machine: Machine) -> Undo:
    machine.site.metadata.down = True
    return lambda: setattr(machine.site.metadata, "down", False)


GARBAGE = ('{"action": "terminate", "time": "soon"}', "<html>404</html>", '{"action": "dance"}', "[[[", "\0")


@to_a_machine
def metadata_garbage(_world: World, act: Act, machine: Machine) -> Undo:
    pages = machine.site.metadata.pages
    garbage = {path: picked(GARBAGE, act.value) or "" for path in (notices.SPOT_ACTION, notices.REBALANCE)}
    pages.update({path: text for path, text in garbage.items() if path not in pages})

    def undo() -> None:
        for path, text in garbage.items():
            if pages.get(path) == text:
                del pages[path]

    return undo


@to_a_machine
def recommend_rebalance(_world: World, _act: Act, machine: Machine) -> Undo:
    machine.site.metadata.recommend_rebalance()
    return None


# engines


def _trouble(world: World, act: Act, machine: Machine) -> None:
    world.history.add("engine-trouble", machine.id, seconds=act.seconds)


@to_a_machine
def engine_hangs(world: World, act: Act, machine: Machine) -> Undo:
    _trouble(world, act, machine)
    machine.site.daemon.hung = True
    return lambda: setattr(machine.site.daemon, "hung", False)


@to_a_machine
def engine_down(world: World, act: Act, machine: Machine) -> Undo:
    _trouble(world, act, machine)
    machine.site.daemon.down = True
    return lambda: setattr(machine.site.daemon, "down", False)


@to_a_machine
def engine_restarts(world: World, act: Act, machine: Machine) -> Undo:
    _trouble(world, act, machine)
    machine.site.daemon.restart(act.seconds)
    return None


# groups


def starve(world: World, act: Act) -> Undo:
    group = picked(list(world.autoscaling.groups.values()), act.pick)
    assert group is not None
    group.starved = "We currently do not have sufficient capacity in the Availability Zone you requested."
    return lambda: setattr(group, "starved", "")


@to_a_machine
def scale_in(world: World, _act: Act, machine: Machine) -> Undo:
    """As a person does; the group's hook holds its end up."""
    for group in world.autoscaling.groups.values():
        member = group.members.get(machine.id)
        if member is not None and member.state == "InService" and group.desired > group.minimum:
            world.autoscaling.scale_in(group.name, machine.id)
    return None


def dud(world: World, act: Act) -> Undo:
    machine = picked([each for each in world.machines.values() if each.boots], act.pick)
    if machine is not None:
        machine.dud = True
    return None


def late_groups(world: World, act: Act) -> Undo:
    """What was asked of a group shows late."""
    groups = list(world.autoscaling.groups.values())
    for group in groups:
        group.lag = 20.0 * act.value

    def undo() -> None:
        for group in groups:
            group.lag = 0.0

    return undo


# controllers


def _controller(world: World, act: Act) -> Controller | None:
    return picked([each for each in world.controllers.values() if each.process is not None], act.pick)


def kill_controller(world: World, act: Act) -> Undo:
    controller = _controller(world, act)
    if controller is not None:
        controller.kill(restart=10.0 + 80.0 * act.value**4)
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


# services


def network(world: World, act: Act) -> Undo:
    assert act.fault is not None
    fault = act.fault
    if fault.process == "machine":
        machine = _machine(world, act)
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


def sqs_purged(world: World, act: Act) -> Undo:
    queue = picked([each for each in world.sqs.queues.values() if len(each)], act.pick)
    if queue is not None and queue.name != world.fleet.dead_letters:
        queue.clear()
    return None


def dynamodb_reads(world: World, act: Act) -> Undo:
    return _behaving(world.dynamodb.behaviour, lag=2.0 * act.value, unread=0.5 * act.value)


def dynamodb_writes(world: World, act: Act) -> Undo:
    return _behaving(world.dynamodb.behaviour, committing=0.5 * act.value, throttles=True)


# what people do

BAD = (
    "not JSON",
    "{}",
    "[" * 2000,
    '{"v":99,"job":"x","index":0}',
    '{"v":1,"job":"../../etc","index":0}',
    '{"v":1,"job":"nobody","index":-1}',
    '{"v":1,"job":"nobody","index":1e400}',
    "\u0085\u202e[2J",
    "",
    encode_pointer(TaskId("nobody", 7)),
)


def bad_message(world: World, act: Act) -> Undo:
    channel = picked(list(world.routes.channels), act.pick)
    jobs = [event.subject for event in world.history.of("registered")]
    bodies = [*BAD, *(encode_pointer(TaskId(job, 999_999)) for job in jobs[:1])]
    world.sqs.put(world.fleet.queue_name(channel or ""), picked(bodies, act.value) or "")
    world.history.add("bad-message", world.history.events[-1].subject)
    return None


def bad_submission(world: World, act: Act) -> Undo:
    wrong: dict[str, Any] = (
        picked(
            (
                {"array": 0},
                {"array": "5-1"},
                {"vcpus": 4000},
                {"queue": "nowhere"},
                {"timeout": "-1s"},
                {"colour": "blue"},
                {"name": "../x"},
                {"after": ["nobody"]},
            ),
            act.value,
        )
        or {}
    )
    process, submitting = world.submitting(**wrong)

    async def hear() -> None:
        try:
            await submitting
        except (RunnerError, TypeError):
            world.history.add("submission-refused", process.name.removeprefix("submit-"))

    outside(asyncio.get_running_loop().create_task, hear())
    return None


def cancel(world: World, act: Act) -> Undo:
    job = picked([event.subject for event in world.history.of("registered")], act.pick)
    if job is not None:
        outside(asyncio.get_running_loop().create_task, world.cancel(job))
    return None


def retry(world: World, act: Act) -> Undo:
    job = picked([event.subject for event in world.history.of("registered")], act.pick)
    if job is not None:
        outside(asyncio.get_running_loop().create_task, world.retry(job))
    return None


def cancel_and_retry(world: World, act: Act) -> Undo:
    cancel(world, act)
    return lambda: (retry(world, act), None)[1]


MISCHIEF: dict[str, Mischief] = {
    "kill-agent": Mischief(kill_agent, often=3),
    "freeze-agent": Mischief(freeze_agent, 240, often=3),
    "stop-agent": Mischief(stop_agent),
    "kill-watchdogs": Mischief(kill_watchdogs, often=0.5),
    "step-clock": Mischief(step_clock),
    "lose-machine": Mischief(lose_machine),
    "reclaim": Mischief(reclaim, often=2),
    "reclaim-pool": Mischief(reclaim_pool, often=0.7),
    "disk-full": Mischief(disk_full, 100),
    "metadata-down": Mischief(metadata_down, 200),
    "metadata-garbage": Mischief(metadata_garbage, 200),
    "recommend-rebalance": Mischief(recommend_rebalance),
    "engine-hangs": Mischief(engine_hangs, 150),
    "engine-down": Mischief(engine_down, 60),
    "engine-restarts": Mischief(engine_restarts, 30),
    "starve": Mischief(starve, 200),
    "scale-in": Mischief(scale_in),
    "dud": Mischief(dud, often=0.4),
    "late-groups": Mischief(late_groups, 200),
    "kill-controller": Mischief(kill_controller, often=2),
    "freeze-controller": Mischief(freeze_controller, 100),
    "another-controller": Mischief(another_controller),
    "network": Mischief(network, 150, often=8),
    "sqs-twice": Mischief(sqs_twice, 300, often=2),
    "sqs-disorder": Mischief(sqs_disorder, 300),
    "sqs-entries": Mischief(sqs_entries, 200),
    "sqs-counts": Mischief(sqs_counts, 300),
    "sqs-purged": Mischief(sqs_purged, often=0.5),
    "dynamodb-reads": Mischief(dynamodb_reads, 300),
    "dynamodb-writes": Mischief(dynamodb_writes, 200),
    "bad-message": Mischief(bad_message),
    "bad-submission": Mischief(bad_submission, often=0.5),
    "cancel": Mischief(cancel, often=0.5),
    "cancel-and-retry": Mischief(cancel_and_retry, 60),
    "retry": Mischief(retry, often=0.5),
}

# What a fault of the network may hit, and how: which services, whose requests.
SERVICES = ("*", "dynamodb", "dynamodb", "sqs", "sqs", "autoscaling", "s3")
WHOSE = ("*", "machine", "machine", "controller*", "submit*")
SHARES = (1.0, 1.0, 0.5, 0.1)


def a_network_fault(random: Random) -> Fault:
    effect = random.choice(list(Effect))
    seconds = random.uniform(0.5, 40.0) if effect is Effect.SLOW else 0.0
    return Fault(
        effect,
        service=random.choice(SERVICES),
        process=random.choice(WHOSE),
        share=random.choice(SHARES),
        seconds=seconds,
    )
