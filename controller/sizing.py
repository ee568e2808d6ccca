"""How many machines a load of tasks needs, seen by itself. Pure."""

from __future__ import annotations

import math

from controller.demand import Load
from runner.ports import Capacity

# What a task is taken to need until the first has ended, in seconds; and so many machines are worth it even if it
# then turns out to be less.
ASSUMED = 60.0
TRIAL = 50

# Part of a machine: however short the tasks are, somebody must do them.
LEAST = 0.01

# Fractions of a machine do not add up exactly in binary.
NOTHING = 1e-6


def machines_for(load: Load, machine: Capacity, within: float) -> float:
    """How many machines, of which each holds `machine`, do the load within so many seconds. Not rounded."""
    slots = slots_of(load, machine)
    needed = load.tasks / slots * min(1.0, seconds_of(load) / within)
    if load.seconds is None:
        needed = max(needed, TRIAL)
    else:  # a slow tail, of which the mean tells nothing
        needed = max(needed, LEAST, min(TRIAL, load.tasks / slots * min(1.0, load.at_least / within)))
    return min(needed, load.parallel / slots)


def seconds_of(load: Load) -> float:
    """How long one of its tasks is taken to need."""
    return max(ASSUMED, load.at_least) if load.seconds is None else load.seconds


def slots_of(load: Load, machine: Capacity) -> int:
    return slots(load.vcpus, load.memory, machine)


def slots(vcpus: float, memory: int, machine: Capacity) -> int:
    """How many such tasks it holds at a time, at least one: who asks has sent them there."""
    by_memory = machine.memory / memory if memory else math.inf
    return max(1, int(min((machine.vcpus + NOTHING) / vcpus, by_memory)))
