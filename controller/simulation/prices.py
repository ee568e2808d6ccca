"""What machines cost: the file beside this module, or one like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from runner.documents import load
from runner.errors import BadInput
from runner.instances import InstanceType
from runner.schema import Section, checked, number, text
from runner.settings import ON_DEMAND, SPOT, Environment
from runner.validation import validated

PACKAGED = Path(__file__).with_name("prices.yaml")

Dollars = number(0.0001, 1000)
TypeName = text(32, r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an EC2 instance type such as m6i.large")
ByType = dict[Annotated[str, checked(TypeName)], Annotated[float, checked(Dollars)]]


class PricesFile(Section):
    region: Annotated[str, checked(text(32))]
    date: Annotated[str, checked(text(32))]
    on_demand: ByType
    spot: ByType
    spot_share: Annotated[float, checked(number(0.01, 1))]
    reclaims: Annotated[float, checked(number(0, 100))]


@dataclass(frozen=True, slots=True)
class Prices:
    """`on_demand` and `spot` in dollars an hour, by type; `spot_share`: of the price on demand, where `spot` lacks one.
    `reclaims`: of one spot machine, an hour."""

    region: str
    date: str
    on_demand: Mapping[str, float]
    spot: Mapping[str, float]
    spot_share: float
    reclaims: float

    def hourly(self, environment: Environment) -> float:
        """The most that one of its machines costs, in dollars. Raises BadInput where that is not known."""
        return max(self._of(kind, environment) for kind in environment.instance_types)

    def _of(self, kind: InstanceType, environment: Environment) -> float:
        steady = self.on_demand.get(kind.name, kind.price)
        spot = self.spot.get(kind.name, None if steady is None else self.spot_share * steady)
        share = {SPOT: 1.0, ON_DEMAND: 0.0}.get(environment.market, environment.spot_percent / 100)
        if (share < 1 and steady is None) or (share > 0 and spot is None):
            message = f"no price is known for {kind.name}: give it under fleet.instance_types, or in a file of prices"
            raise BadInput(message)
        return share * (spot or 0.0) + (1 - share) * (steady or 0.0)


def read_prices(path: Path | None = None) -> Prices:
    """Raises BadInput."""
    document = load(path or PACKAGED, path)
    file = validated(PricesFile, document.data, document.place)
    return Prices(**file.model_dump())
