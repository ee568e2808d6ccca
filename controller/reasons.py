"""What a decision says of itself: one part for each channel that its machines are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from controller.demand import Load
from controller.sizing import seconds_of, slots_of
from runner.ports import Capacity
from runner.units import format_duration
from runner.wording import counted

SHOWN = 3

N = TypeVar("N", int, float)


def purpose(machines: int, taken: Mapping[Load, float], machine: Capacity) -> str:
    """What so many machines, of which each holds `machine`, are for: by load, which part of it."""
    channels = list(dict.fromkeys(load.channel for load in taken))
    shown = [
        _described({load: part for load, part in taken.items() if load.channel == channel}, channel, machine)
        for channel in channels[:SHOWN]
    ]
    others = ["others"] if len(channels) > SHOWN else []
    return f"{counted(machines, 'machine')} for {', '.join([*shown, *others])}"


def _described(parts: Mapping[Load, float], channel: str, machine: Capacity) -> str:
    tasks = max(1, round(sum(load.tasks * part for load, part in parts.items())))
    slots = _range([slots_of(load, machine) for load in parts], str)
    return f"{counted(tasks, 'task')} of {channel} ({slots} at a time, {_durations(list(parts))})"


def _durations(loads: Sequence[Load]) -> str:
    known = [load for load in loads if load.seconds is not None]
    means = [seconds_of(load) if load.seconds is None else load.seconds for load in loads]
    each = _range([round(mean, 1) for mean in means], format_duration)
    if not known:
        return f"not seen to end yet, taken for {each} each"
    slow = max((load.at_least for load in known if load.at_least > (load.seconds or 0.0)), default=0.0)
    longer = f", some longer than {format_duration(round(slow))}" if round(slow) else ""
    return f"about {each} each{longer}"


def _range(values: Sequence[N], shown: Callable[[N], str]) -> str:
    least, most = shown(min(values)), shown(max(values))
    return least if least == most else f"{least} to {most}"
