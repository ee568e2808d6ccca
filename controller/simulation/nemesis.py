"""A seeded plan of mischief: drawn, printed, carried out, and over at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random

from controller.simulation.clock import OUTSIDE
from controller.simulation.mischief import MISCHIEF, Act, Undo
from controller.simulation.mischief.services import a_network_fault
from controller.simulation.world import World

# A plan has so many kinds of mischief at most, and acts; in how many seconds, at least and at most.
MOST_KINDS, MOST_ACTS = 6, 10
SHORTEST, LONGEST = 60.0, 300.0
# Before that nothing runs yet.
FIRST = 30.0


def a_plan(random: Random) -> Sequence[Act]:
    """Of a few kinds only: what hides behind the one is not always disturbed by all the others."""
    names = list(MISCHIEF)
    often = [MISCHIEF[name].often for name in names]
    kinds = random.choices(names, often, k=random.randint(1, MOST_KINDS))
    within = random.uniform(SHORTEST, LONGEST)
    acts = [_an_act(random, random.choice(kinds), within) for _ in range(random.randint(1, MOST_ACTS))]
    return sorted(acts, key=lambda act: act.at)


def _an_act(random: Random, what: str, within: float) -> Act:
    longest = MISCHIEF[what].longest
    return Act(
        at=round(FIRST + random.uniform(0.0, within), 1),
        what=what,
        seconds=round(random.uniform(1.0, longest), 1) if longest else 0.0,
        pick=round(random.random() * 0.999, 3),
        value=round(random.random() * 0.999, 3),
        fault=a_network_fault(random) if what == "network" else None,
    )


def ends(plan: Sequence[Act]) -> float:
    return max((act.at + act.seconds for act in plan), default=0.0)


class Nemesis:
    """Create inside the world's loop."""

    def __init__(self, world: World, plan: Sequence[Act]) -> None:
        self._world = world
        self._undo: dict[int, Undo] = {}
        loop = asyncio.get_running_loop()
        for number, act in enumerate(plan):
            loop.call_at(act.at, self._begin, number, act, context=OUTSIDE)

    def _begin(self, number: int, act: Act) -> None:
        self._tell(f"{act.what}", act)
        undo = MISCHIEF[act.what].do(self._world, act)
        if undo is not None:
            self._undo[number] = undo
            asyncio.get_running_loop().call_later(act.seconds, self._end, number, act, context=OUTSIDE)

    def _end(self, number: int, act: Act) -> None:
        undo = self._undo.pop(number, None)
        if undo is not None:
            self._tell(f"{act.what}-over", act)
            undo()

    def _tell(self, what: str, act: Act) -> None:
        self._world.network.nobody_asks()
        self._world.history.add("mischief", what, **({"fault": str(act.fault)} if act.fault else {}))


def printed(plan: Sequence[Act]) -> Iterator[str]:
    """A line for each act, with the number by which it can be left out."""
    return (f"{number:3} {act}" for number, act in enumerate(plan))
