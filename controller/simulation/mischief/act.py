"""What a nemesis does once, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from controller.simulation.faults import Fault
from controller.simulation.machine import Machine
from controller.simulation.world import World

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


def a_machine(world: World, act: Act) -> Machine | None:
    """Rather one where something runs."""
    busy = [machine for machine in world.alive if machine.site.daemon.running]
    return picked(busy or world.alive, act.pick)


def to_a_machine(do: Callable[[World, Act, Machine], Undo]) -> Callable[[World, Act], Undo]:
    def done(world: World, act: Act) -> Undo:
        machine = a_machine(world, act)
        return do(world, act, machine) if machine is not None else None

    return done
