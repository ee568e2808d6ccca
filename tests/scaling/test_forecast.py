"""What work would cost: prices, what is remembered of earlier jobs, and the same work under several settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from controller.simulation.forecast import Forecast, forecasts, with_fleet
from controller.simulation.model.workload import GIB
from controller.simulation.prices import PACKAGED, Prices, read_prices
from runner.errors import BadInput
from runner.instances import KNOWN, InstanceType
from runner.settings import ON_DEMAND, SPOT, Settings
from tests.fleets import AGENT, environment, fleet_of, on_demand
from tests.scaling.played import bag

PRICES = Prices("here", "2026-01-01", {}, {}, 0.25, 0.0)


def fleet(*environments: object, **more: object) -> Settings:
    return Settings(mode="fleet", agent=AGENT, fleet=fleet_of(*environments, **more))  # type: ignore[arg-type]


SMALL = fleet(environment("small", "m6i.large"), on_demand("steady", "m6i.large"))


def told(
    settings: Settings, maxima: Sequence[int], markets: Sequence[str] = (ON_DEMAND,), **more: float
) -> list[Forecast]:
    work = bag(*[300.0] * 100, memory=int(more.get("gib", 1) * GIB), vcpus=more.get("vcpus", 1.0))
    return list(forecasts(settings, [work], maxima, markets, PRICES))


# Prices


def test_the_packaged_prices_can_be_read() -> None:
    prices = read_prices()
    assert prices.region
    assert 0 < prices.spot_share < 1


def test_on_demand_a_type_costs_what_the_settings_say() -> None:
    assert PRICES.hourly(on_demand("e", "m6i.large")) == KNOWN["m6i.large"].price


def test_a_file_of_prices_goes_before_them() -> None:
    dear = Prices("here", "2026-01-01", {"m6i.large": 9.0}, {"m6i.large": 2.0}, 0.25, 0.0)
    assert dear.hourly(on_demand("e", "m6i.large")) == 9.0
    assert dear.hourly(environment("e", "m6i.large")) == 2.0


def test_on_spot_a_type_that_is_not_listed_costs_a_share() -> None:
    assert PRICES.hourly(environment("e", "m6i.large")) == pytest.approx(0.25 * 0.096)


def test_of_several_types_the_dearest_counts() -> None:
    assert PRICES.hourly(on_demand("e", "m6i.large", "m6i.xlarge")) == KNOWN["m6i.xlarge"].price


def test_a_mixed_environment_costs_what_its_parts_do() -> None:
    mixed = environment("e", "m6i.large", market="mixed", spot_percent=50)
    assert PRICES.hourly(mixed) == pytest.approx(0.096 * (0.5 + 0.5 * 0.25))


def test_a_type_without_a_price_is_refused() -> None:
    unknown = InstanceType("x9.large", 2, 8 * GIB)
    with pytest.raises(BadInput, match=r"no price is known for x9\.large"):
        PRICES.hourly(environment("e").__class__("e", (unknown,)))


def test_what_is_wrong_in_a_file_of_prices_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(PACKAGED.read_text().replace("spot_share: 0.35", "spot_share: much"))
    with pytest.raises(BadInput, match=r"prices\.yaml:\d+: spot_share"):
        read_prices(file)


# Forecasts


def test_more_machines_end_sooner_and_cost_little_more() -> None:
    few, many = told(SMALL, [5, 25])
    assert many.metrics.makespan < few.metrics.makespan / 2
    assert few.metrics.dollars < many.metrics.dollars < 1.5 * few.metrics.dollars


def test_spot_costs_its_share() -> None:
    spot, steady = told(SMALL, [10], [SPOT, ON_DEMAND])
    assert spot.metrics.dollars == pytest.approx(0.25 * steady.metrics.dollars)


def test_no_more_machines_than_said_are_launched_at_a_time() -> None:
    (found,) = told(SMALL, [7])
    assert max(each.booting + each.serving for each in found.samples) == 7


def test_waiting_that_is_worth_little_makes_fewer_machines() -> None:
    patient = fleet(environment("small", "m6i.large"), hour_of_waiting=0.05)
    assert told(patient, [100])[0].metrics.launched < told(SMALL, [100])[0].metrics.launched


def test_large_tasks_are_run_where_they_fit() -> None:
    both = fleet(environment("small", "m6i.large"), environment("large", "m6i.4xlarge"))
    (found,) = told(both, [10], vcpus=8.0)
    assert found.price == KNOWN["m6i.4xlarge"].price


def test_what_fits_nowhere_is_refused() -> None:
    with pytest.raises(BadInput, match="holds a task of 64 vCPUs"):
        told(SMALL, [10], vcpus=64.0)


def test_without_a_fleet_there_are_machines_of_one_type() -> None:
    assumed = with_fleet(Settings(queues={"default": 0}), KNOWN["c7i.xlarge"])
    assert told(assumed, [10])[0].price == KNOWN["c7i.xlarge"].price


def test_another_type_serves_all_queues_of_a_fleet() -> None:
    other = with_fleet(SMALL, KNOWN["c7i.xlarge"])
    assert other.fleet is not None
    assert {queue.environments for queue in other.fleet.queues.values()} == {("simulated",)}


def test_the_same_is_told_each_time() -> None:
    assert told(SMALL, [10]) == told(SMALL, [10])


def test_tasks_that_hardly_ever_end_before_their_spot_machine_goes_are_refused() -> None:
    work = [bag(10 * 3600.0)]
    often = Prices("here", "2026-01-01", {}, {}, 0.25, reclaims=1.0)
    with pytest.raises(BadInput, match=r"10h .* 1 an hour"):
        list(forecasts(SMALL, work, [1], [SPOT], often))
    assert list(forecasts(SMALL, work, [1], [ON_DEMAND], often))
