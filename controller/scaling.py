"""How many machines the work deserves. Pure."""

from __future__ import annotations

from controller.model import Decision, FleetCapacity


def decide(demand: int, capacity: FleetCapacity) -> Decision:
    """For agents on one machine: as many as there may be while there is anything to do, and never fewer than run.

    `demand` counts tasks waiting or running. Machines end themselves when idle; nobody is ever scaled in.
    """
    if demand == 0:
        return Decision(capacity.running, "nothing to do")
    desired = max(capacity.running, min(demand, capacity.maximum))
    return Decision(desired, f"{demand} tasks wait or run; at most {capacity.maximum} agents")
