"""What a cluster cost, estimated: its machines' time at list prices on demand. Pure.

That is not the bill: spot machines cost less, Amazon EMR's own charge for each machine and the disks come on top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from controller.adapters.emr.replies import Machine
from runner.instances import KNOWN, InstanceType

HOUR = 3600.0


def estimated_cost(
    machines: Iterable[Machine], until: float, prices: Mapping[str, InstanceType] = KNOWN
) -> float | None:
    """In dollars; None where nothing is known of a machine's time, or of its price. `until`: when the cluster ended."""
    hours: defaultdict[str, float] = defaultdict(float)
    for each in machines:
        if each.created is not None:
            hours[each.type] += max(0.0, (each.ended or until) - each.created) / HOUR
    total = 0.0
    for kind, used in hours.items():
        price = prices[kind].price if kind in prices else None
        if price is None:
            return None
        total += price * used
    return total if hours else None
