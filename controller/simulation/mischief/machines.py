"""Mischief to machines: their agents, watchdogs, clocks, disks, engines, and the groups they belong to."""

from __future__ import annotations

from controller.simulation.machine import Machine
from controller.simulation.mischief.act import Act, Undo, picked, to_a_machine
from controller.simulation.world import World
from runner.adapters.ec2 import notices


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
def disk_full(_world: World, act: Act, machine: Machine) -> Undo:
    machine.site.hardware.trouble, machine.site.hardware.prunable = "disk space is low", act.value < 0.5
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
    machine.site.daemon.restart(act.seconds, live_restore=act.value < 0.5)
    return None


def registry_down(world: World, _act: Act) -> Undo:
    world.registry.down = True
    return lambda: setattr(world.registry, "down", False)


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
