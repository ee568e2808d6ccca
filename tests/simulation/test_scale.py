"""What large installations are measured with measures right: here small ones of each kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks import scale_runs as scale
from controller.simulation.crowd import Crowd
from controller.simulation.metering import WRITING, Meter, Metered, forget_history
from controller.simulation.play import play
from controller.simulation.services.dynamodb.errors import Refused
from controller.simulation.world import World
from runner.records import JobRecord

HOSTS, JOBS, ENDED = 20, 2, 100


@pytest.fixture(scope="module")
def fleet() -> dict[str, Any]:
    return scale.simulate_fleet(2, 600.0)


def crowded() -> tuple[list[JobRecord], World]:
    async def scenario(world: World) -> tuple[list[JobRecord], World]:
        forget_history(world)
        crowd = Crowd(world, HOSTS, scale.SLOTS)
        await crowd.report()
        jobs = [await world.submit(name=f"job-{n}", array=5000, vcpus=1, memory="2GiB") for n in range(JOBS)]
        world.start_controller()
        for ending in (0, 0, 0, ENDED, 0):
            await asyncio.sleep(20.0)
            await crowd.work(ending)
        return [await world.job(job) for job in jobs], world

    return play(scenario, settings=scale.fleet(HOSTS))


def test_the_ledger_counts_what_a_crowd_runs_and_what_it_ended() -> None:
    records, _ = crowded()
    assert sum(record.counts.running for record in records) == HOSTS * scale.SLOTS
    assert sum(record.counts.succeeded for record in records) == ENDED


def test_the_controller_neither_replaces_a_crowds_hosts_nor_asks_for_more() -> None:
    _, world = crowded()
    group = next(iter(world.autoscaling.groups.values()))
    assert (group.desired, len(group.members)) == (HOSTS, HOSTS)


def test_a_fleet_of_real_agents_fills_its_slots(fleet: dict[str, Any]) -> None:
    assert (fleet["agents"], fleet["running"]) == (2, 2 * scale.SLOTS)


def test_units_of_the_steady_state_are_told_by_collection(fleet: dict[str, Any]) -> None:
    reports_and_beats = 2 / 5 + 2 / 10
    assert fleet["writes"]["R"] + fleet["writes"]["B"] == pytest.approx(reports_and_beats, rel=0.2)


def test_a_collection_that_is_too_hot_is_refused_and_told() -> None:
    metered = Metered(10.0, WRITING)
    metered.take("table", "J#job", 8.0, 0.0)
    with pytest.raises(Refused):
        metered.take("table", "J#job", 8.0, 0.5)
    assert (metered.given["J"], metered.refused["J"], metered.hottest["J"]) == (8.0, 1, 8.0)


def test_the_hottest_second_is_one_collections_own() -> None:
    metered = Metered(10.0, WRITING)
    for at, key in ((0.0, "S#job#0"), (0.1, "S#job#1"), (0.2, "S#job#0"), (1.0, "S#job#0")):
        metered.take("table", key, 2.0, at)
    assert metered.hottest["S"] == 4.0


def test_steps_are_timed_by_the_controllers_own_requests() -> None:
    async def scenario(world: World) -> Meter:
        meter = Meter(world)
        controller = world.start_controller()
        await asyncio.sleep(0.0)
        assert controller.supervisor is not None
        meter.time_steps(controller.supervisor)
        await asyncio.sleep(60.0)
        return meter

    steps = play(scenario, settings=scale.fleet(1)).steps
    assert steps
    assert all(step.seconds > 0 and step.requests > 0 and step.sent == 0 for step in steps)


def test_a_fleet_with_more_slots_than_the_window_is_full() -> None:
    assert scale.simulate_fleet(4, 400.0, window=40)["running"] == 4 * scale.SLOTS


@pytest.fixture(scope="module")
def day() -> dict[str, Any]:
    return scale.simulate_day(2, 150, until=3000.0)


@pytest.fixture(scope="module")
def agents_day() -> dict[str, Any]:
    return scale.simulate_agents_day(2, 150, until=3000.0)


def test_stand_ins_run_every_task_once_in_all_slots_of_all_machines(day: dict[str, Any]) -> None:
    assert (day["most"], day["running"]) == (2, 2 * scale.SLOTS)


def test_stand_ins_end_when_agents_would(day: dict[str, Any], agents_day: dict[str, Any]) -> None:
    assert day["ended"] == pytest.approx(agents_day["ended"], rel=0.05)
    assert day["emptied"] - day["ended"] == pytest.approx(
        agents_day["emptied"] - agents_day["ended"], abs=30.0
    )


def test_beside_stand_ins_the_controller_uses_what_it_does_beside_agents(
    day: dict[str, Any], agents_day: dict[str, Any]
) -> None:
    for unit in ("writes", "reads"):
        name = f"controller {unit}"
        assert day["units"][name] == pytest.approx(agents_day["units"][name], rel=0.1)


def test_what_stand_ins_write_is_not_counted(day: dict[str, Any]) -> None:
    assert (day["units"]["agents writes"], day["refused"]) == (0, {})


def test_the_model_runs_as_long_as_the_stand_ins(day: dict[str, Any]) -> None:
    assert scale.simulate_model(2, 150)["ended"] == pytest.approx(day["ended"], rel=0.15)
