"""Which channel a task goes to, and who takes from it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import NotFound
from runner.instances import KNOWN
from runner.model import Sidecar
from runner.ports import Capacity
from runner.routing import LOCAL, Routes, smallest, usable
from runner.settings import AgentSettings, Settings
from tests.fleets import AGENT, GIB, environment, fleet_of, job_of, on_demand, routes_of

SMALL = environment("small", "m6i.large")
STEADY = on_demand("steady", "m5.large")
LARGE = environment("large", "r6i.4xlarge")


def test_in_the_embedded_mode_a_channel_is_a_queue() -> None:
    routes = Routes.of(Settings(queues={"default": 0, "fast": 9}))
    assert routes.channels == {"default": 0, "fast": 9}
    assert routes.channels_of(LOCAL) == {"default": 0, "fast": 9}
    assert routes.channel(job_of(queue="fast"), 99 * GIB, 5) == "fast"


def test_a_task_goes_to_the_smallest_class_that_holds_it() -> None:
    routes = routes_of(LARGE, SMALL)
    assert routes.channel(job_of(), 2 * GIB) == "default.2x8"
    assert routes.channel(job_of(gib=60), 60 * GIB) == "default.16x128"


def test_vcpus_count_as_memory_does() -> None:
    assert routes_of(SMALL, LARGE).channel(job_of(vcpus=3), 1 * GIB) == "default.16x128"


def test_a_machine_takes_from_its_own_class_only() -> None:
    routes = routes_of(SMALL, LARGE)
    assert list(routes.channels_of("large")) == ["default.16x128"]
    assert list(routes.channels_of("small")) == ["default.2x8"]


def test_environments_of_one_size_share_a_channel_in_the_queues_order() -> None:
    routes = routes_of(STEADY, SMALL, queues={"default": ["small", "steady"]})
    assert routes.environments_of("default.2x8") == ("small", "steady")


def test_the_smallest_type_of_an_environment_decides() -> None:
    mixed = environment("mixed", "m6i.4xlarge", "m6i.large")
    assert smallest(mixed, AGENT) == usable(KNOWN["m6i.large"], AGENT)


def test_sidecars_need_room_too() -> None:
    job = job_of(sidecars=(Sidecar("s", "i", memory=6 * GIB),))
    assert routes_of(SMALL, LARGE).channel(job, 2 * GIB) == "default.16x128"


def test_more_memory_may_need_another_class() -> None:
    routes, job = routes_of(SMALL, LARGE), job_of(gib=4)
    assert routes.channel(job, 4 * GIB) != routes.channel(job, 8 * GIB)


def test_after_two_losses_a_task_is_kept_off_spot_machines() -> None:
    routes = routes_of(SMALL, STEADY)
    lanes = [routes.channel(job_of(), GIB, losses) for losses in range(4)]
    assert lanes == ["default.2x8", "default.2x8", "default.2x8.od", "default.2x8.od"]
    assert routes.environments_of("default.2x8.od") == ("steady",)


def test_a_class_without_machines_on_demand_has_no_lane_for_them() -> None:
    assert routes_of(SMALL, LARGE).channel(job_of(), GIB, 9) == "default.2x8"


def test_the_bound_on_losses_is_a_setting() -> None:
    routes = Routes(fleet_of(SMALL, STEADY, on_demand_after=1), AGENT)
    assert routes.channel(job_of(), GIB, 1) == "default.2x8.od"


def test_a_lane_goes_before_its_class_and_after_queues_of_higher_priority() -> None:
    routes = routes_of(SMALL, STEADY, queues={"high": ["steady"], "low": ["small", "steady"]})
    ranked = sorted(routes.channels_of("steady"), key=lambda channel: -routes.channels[channel])
    assert ranked == ["high.2x8.od", "high.2x8", "low.2x8.od", "low.2x8"]


def test_a_queue_that_is_not_in_the_settings_is_not_found() -> None:
    with pytest.raises(NotFound, match="unknown queue 'defalt'; did you mean 'default'"):
        routes_of(SMALL).channel(job_of(queue="defalt"), GIB)


def test_what_nothing_holds_goes_to_the_largest_class() -> None:
    assert routes_of(SMALL, LARGE).channel(job_of(gib=500), 500 * GIB) == "default.16x128"


def test_a_retry_is_given_no_more_memory_than_a_machine_with_its_vcpus_has() -> None:
    routes = routes_of(SMALL, environment("wide", "c6i.8xlarge"), LARGE)
    assert routes.largest_memory(job_of()) == usable(KNOWN["r6i.4xlarge"], AGENT).memory
    assert routes.largest_memory(job_of(vcpus=20)) == usable(KNOWN["c6i.8xlarge"], AGENT).memory


def test_in_the_embedded_mode_the_settings_do_not_know_the_machine() -> None:
    assert Routes.of(Settings()).largest_memory(job_of()) is None


def test_what_is_reserved_is_not_offered() -> None:
    agent = AgentSettings(reserved_vcpus=0.5, reserved_memory=GIB)
    assert usable(KNOWN["m6i.large"], agent) == Capacity(1.5, int(8 * GIB * 0.925) - GIB)


def test_what_is_set_for_the_agent_bounds_what_a_machine_offers() -> None:
    agent = AgentSettings(vcpus=1, memory=2 * GIB)
    assert usable(KNOWN["m6i.large"], agent) == Capacity(1, 2 * GIB)


def test_a_machine_smaller_than_what_is_reserved_offers_nothing() -> None:
    assert usable(KNOWN["t3.nano"], AgentSettings(reserved_memory=GIB)).memory == 0


TYPES = st.sampled_from(sorted(KNOWN))
ENVIRONMENTS = st.lists(
    st.builds(lambda types, steady: (types, steady), st.lists(TYPES, min_size=1, max_size=3), st.booleans()),
    min_size=1,
    max_size=6,
)


def routes_from(kinds: list[tuple[list[str], bool]]) -> Routes:
    made = [
        on_demand(f"e{at}", *types) if steady else environment(f"e{at}", *types)
        for at, (types, steady) in enumerate(kinds)
    ]
    return routes_of(*made)


@given(ENVIRONMENTS, st.floats(0.1, 64), st.floats(0.1, 256), st.integers(0, 5))
def test_a_task_never_waits_on_a_machine_that_cannot_hold_it(
    kinds: list[tuple[list[str], bool]], vcpus: float, gib: float, losses: int
) -> None:
    routes, job = routes_from(kinds), job_of(vcpus=vcpus, gib=gib)
    channel = routes.channel(job, job.limits.memory, losses)
    assert routes.environments_of(channel)
    if any(vcpus <= held.vcpus and job.limits.memory <= held.memory for held in routes.offers("default")):
        for name in routes.environments_of(channel):
            machine = routes.machine(name)
            assert vcpus <= machine.vcpus
            assert job.limits.memory <= machine.memory


@given(ENVIRONMENTS)
def test_every_environment_takes_from_a_channel_and_every_channel_has_an_environment(
    kinds: list[tuple[list[str], bool]],
) -> None:
    routes = routes_from(kinds)
    assert all(routes.channels_of(name) for name in routes.environments)
    assert all(routes.environments_of(channel) for channel in routes.channels)


@given(ENVIRONMENTS)
def test_machines_of_one_channel_are_of_about_the_same_size(kinds: list[tuple[list[str], bool]]) -> None:
    routes = routes_from(kinds)
    for channel in routes.channels:
        sizes = [routes.machine(name) for name in routes.environments_of(channel)]
        assert max(each.vcpus for each in sizes) <= 1.1 * min(each.vcpus for each in sizes)
        assert max(each.memory for each in sizes) <= 1.1 * min(each.memory for each in sizes)


@given(ENVIRONMENTS)
def test_a_channel_makes_a_name_that_sqs_takes_and_no_other_has(
    kinds: list[tuple[list[str], bool]],
) -> None:
    routes = routes_from(kinds)
    assert routes.fleet is not None
    names = [routes.fleet.queue_name(channel) for channel in routes.channels]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,80}", name) for name in names)


def test_the_classes_do_not_depend_on_the_order_of_the_environments() -> None:
    other = replace(SMALL, name="other", instance_types=(KNOWN["c5.xlarge"],))
    one, two = routes_of(SMALL, LARGE, other), routes_of(other, LARGE, SMALL)
    assert set(one.channels) == set(two.channels)
