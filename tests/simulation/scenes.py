"""Small trials made by hand: a few tasks, two machines, and what befalls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.simulation.faults import Effect, Fault
from controller.simulation.installation import Installation
from controller.simulation.mischief import Act
from controller.simulation.play import a_fleet
from controller.simulation.promises.rule import Violation
from controller.simulation.trial import Order, Result, Trial, run
from controller.simulation.workload import Behave, steady
from runner.instances import KNOWN
from runner.settings import ON_DEMAND, AgentSettings, Environment, Settings

MINUTE_AND_A_HALF = steady(90.0)


def two_machines() -> Settings:
    """That come after some forty seconds, and one more where tasks go that were lost too often."""
    spot = Environment("spot", (KNOWN["m6i.large"],), maximum=2)
    other = Environment("steady", (KNOWN["m6i.large"],), market=ON_DEMAND, spot_percent=0, maximum=1)
    own = AgentSettings(lease=60.0, beat=10.0, idle=30.0)
    return replace(a_fleet(spot, other, boot=30.0, on_demand_after=1), agent=own)


@dataclass(frozen=True)
class Scene:
    """Tasks of a minute and a half each, of which two machines run four at a time. Submitted `at` 0.0 they are sent
    twice, by the supervisor too."""

    plan: tuple[Act, ...] = ()
    tasks: int = 4
    work: Behave = MINUTE_AND_A_HALF
    at: float = 1.0
    skew: float = 0.0
    keys: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def result(self, made_of: type[Installation] = Installation) -> Result:
        order = Order(self.at, {"array": self.tasks, **self.keys})
        return run(Trial(1, two_machines(), [order], self.plan, self.work, self.skew), made_of)

    def violations(self, made_of: type[Installation] = Installation) -> Sequence[Violation]:
        return self.result(made_of).violations


def away(service: str, begins: float, seconds: float) -> Act:
    """For one machine."""
    return Act(begins, "network", seconds, fault=Fault(Effect.REFUSED, service=service, process="machine"))
