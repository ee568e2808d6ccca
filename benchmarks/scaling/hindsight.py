"""What could be had by the number of machines alone: the best of many fixed rules, chosen once it is known how each of
them ends. Not a bound; but where it is far from the bound, what is missing is no question of how many machines.

The order in which tasks are handed out is the queue's, as it is for every policy; whoever knew each task's length could
order them, too, and that is in the bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.scaling.baselines import Baseline, Counts
from controller.simulation.model.policy import Leaving
from runner.routing import Routes

NAME = "hindsight"

# Machines for each that a slot for every task would take; more of them than tasks need come sooner.
SHARES = (0.04, 0.06, 0.08, 0.12, 0.17, 0.25, 0.34, 0.5, 0.67, 1.0, 1.5, 2.0)
# How long a machine without a task stays, in seconds.
IDLE = (0.0, 600.0)


class Share(Baseline):
    """So large a share of a slot for each task, never fewer than there are. Machines go without asking anybody."""

    name = NAME

    def __init__(self, routes: Routes, share: float, idle: float) -> None:
        super().__init__(routes)
        self.leaving = Leaving(idle=idle)
        self._share = share

    def desired(self, environment: str, counts: Counts) -> int:  # noqa: ARG002
        return max(counts.desired, min(counts.maximum, math.ceil(self._share * counts.all / counts.slots)))


def every(routes: Routes) -> Iterator[Share]:
    return (Share(routes, share, idle) for share in SHARES for idle in IDLE)
