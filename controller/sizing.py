"""How many machines a load of tasks needs to be done within a time, seen by itself. Pure."""

from __future__ import annotations

import math

from controller.demand import Load
from controller.worth import Part
from runner.ports import Capacity

# What a task is taken to need until the first has ended, in seconds.
ASSUMED = 60.0
# What has run for so long goes on for as long again: of tasks that nothing is known of, half do at least.
LONGER = 2.0

# Part of a machine: however short the tasks are, somebody must do them.
LEAST = 0.01

# Fractions of a machine do not add up exactly in binary.
NOTHING = 1e-6


def machines_for(load: Load, machine: Capacity, within: float) -> float:
    """How many machines, of which each holds `machine`, do the load within so many seconds. Not rounded."""
    width = load.parallel / slots_of(load, machine)
    needed = load.tasks / slots_of(load, machine) * min(1.0, seconds_of(load) / within)
    return min(max(needed, LEAST), width)


def part_of(load: Load, machine: Capacity) -> Part:
    """Without what waits for its next try."""
    slots = slots_of(load, machine)
    tasks = max(1, load.tasks - load.hidden)
    seconds = max(NOTHING, seconds_of(load))
    return Part(tasks, seconds, slots, load.parallel / slots, min(tasks, load.running))


def seconds_of(load: Load) -> float:
    """How long one of its tasks is taken to need. The mean of those that ended says nothing of a slow tail while that
    runs."""
    if load.seconds is None:
        return max(ASSUMED, LONGER * load.at_least)
    return max(load.seconds, load.at_least)


def slots_of(load: Load, machine: Capacity) -> int:
    return slots(load.vcpus, load.memory, machine)


def slots(vcpus: float, memory: int, machine: Capacity) -> int:
    """How many such tasks it holds at a time, at least one: who asks has sent them there."""
    by_memory = machine.memory / memory if memory else math.inf
    return max(1, int(min((machine.vcpus + NOTHING) / vcpus, by_memory)))
