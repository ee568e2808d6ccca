"""The section `fleet` of `runner.yaml`, and the table of instance types."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from runner.configuration import load_settings
from runner.errors import BadInput
from runner.fleet_file import name_problems
from runner.instances import GIB, KNOWN, PRICED_ON
from runner.routing import Routes
from runner.settings import (
    FLEET_AGENT,
    FLEET_SUPERVISOR,
    AgentSettings,
    Deployment,
    FleetSettings,
    QueueSettings,
    Settings,
)

ROOT = Path(__file__).parent.parent
LEAST = """\
mode: fleet
fleet:
  name: shards
  region: us-east-1
  environments:
    small: {instance_types: [m6i.large]}
    large: {instance_types: [r6i.4xlarge]}
"""
QUEUES = "queues: {default: {environments: [small]}}\n"


def load(directory: Path, text: str) -> Settings:
    (directory / "runner.yaml").write_text(text)
    return load_settings(None, {}, directory)


def fleet_of(directory: Path, text: str) -> FleetSettings:
    fleet = load(directory, text).fleet
    assert fleet is not None
    return fleet


def refused(directory: Path, text: str) -> str:
    with pytest.raises(BadInput) as error:
        load(directory, text)
    return str(error.value)


def with_environment(keys: str, more: str = "") -> str:
    """A fleet of one environment; its keys stand on line 6, `more` of the fleet's on line 7."""
    return f"mode: fleet\nfleet:\n  name: shards\n  region: us-east-1\n  environments:\n    a: {{{keys}}}\n{more}"


def test_names_follow_from_the_fleets(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, LEAST)
    assert fleet.table == "shards"
    assert fleet.bucket_name("123456789012") == "shards-123456789012-us-east-1"
    assert fleet.group("small") == "shards-small"
    assert fleet.queue_name("default.2x8.od") == "shards-default-2x8-od"
    assert fleet.dead_letters == "shards-dead-letters"


def test_names_that_are_given_stand(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, LEAST + "  table: other\n  bucket: logs-here\n")
    assert (fleet.table, fleet.bucket_name("1")) == ("other", "logs-here")


def test_without_queues_there_is_one_for_all_environments(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST)
    assert settings.fleet is not None
    assert settings.fleet.queues == {"default": QueueSettings(0, ("small", "large"))}
    assert settings.queues == {"default": 0}


def test_a_queues_priority_is_the_same_in_both_places(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST + "queues: {fast: {priority: 7, environments: [large, small]}}\n")
    assert settings.fleet is not None
    assert settings.fleet.queues == {"fast": QueueSettings(7, ("large", "small"))}
    assert settings.queues == {"fast": 7}


def test_a_spot_environment_has_no_machine_on_demand(tmp_path: Path) -> None:
    environment = fleet_of(tmp_path, with_environment("instance_types: [m5.large]")).environments["a"]
    assert (environment.on_demand_base, environment.spot_percent, environment.on_demand) == (0, 100, False)


def test_an_environment_on_demand_has_no_spot_machine(tmp_path: Path) -> None:
    text = with_environment("instance_types: [m5.large], market: on_demand")
    environment = fleet_of(tmp_path, text).environments["a"]
    assert (environment.on_demand_base, environment.spot_percent, environment.on_demand) == (0, 0, True)


def test_a_mixed_environment_has_what_is_given(tmp_path: Path) -> None:
    text = with_environment("instance_types: [m5.large], market: mixed, on_demand_base: 2, spot_percent: 75")
    environment = fleet_of(tmp_path, text).environments["a"]
    assert (environment.on_demand_base, environment.spot_percent, environment.on_demand) == (2, 75, False)


def test_figures_that_are_given_go_before_the_built_in(tmp_path: Path) -> None:
    more = "  instance_types: {m5.large: {price: 0.5}}\n"
    environment = fleet_of(
        tmp_path, with_environment("instance_types: [m5.large, m6i.large]", more)
    ).environments["a"]
    assert environment.instance_types[0] == replace(KNOWN["m5.large"], price=0.5)
    assert environment.price == 0.5


def test_a_type_that_is_not_built_in_may_be_given(tmp_path: Path) -> None:
    more = "  instance_types: {z9.huge: {vcpus: 4, memory: 8GiB}}\n"
    environment = fleet_of(tmp_path, with_environment("instance_types: [z9.huge]", more)).environments["a"]
    assert (environment.instance_types[0].memory, environment.price) == (8 * GIB, None)


def test_a_fleet_has_defaults_of_its_own_for_agents_and_supervisor(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST)
    assert (settings.agent, settings.supervisor) == (FLEET_AGENT, FLEET_SUPERVISOR)


def test_what_is_given_goes_before_a_fleets_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, LEAST + "agent: {beat: 5s}\n").agent == replace(FLEET_AGENT, beat=5.0)


def test_a_lease_is_checked_against_a_fleets_beat(tmp_path: Path) -> None:
    told = refused(tmp_path, "agent: {lease: 15s}\n" + LEAST)
    assert told == "runner.yaml:1: agent.beat: must be at most 0.3 of lease: 10 and 15 seconds"


def test_in_the_embedded_mode_the_section_is_only_checked(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST.replace("mode: fleet\n", ""))
    assert (settings.fleet, settings.agent) == (None, AgentSettings())
    assert "unknown instance type" in refused(
        tmp_path, LEAST.replace("mode: fleet\n", "").replace("m6i", "m0")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LEAST + "queues: {default: 0}", "8: queues.default: needs environments: which of them run its tasks"),
        (
            LEAST + "queues: {default: {environments: [smal]}}",
            "8: queues.default.environments[0]: unknown environment 'smal'; did you mean 'small'?",
        ),
        (
            LEAST + "queues: {a: {environments: [small, small]}}",
            "8: queues.a.environments: 'small' stands twice",
        ),
        (LEAST + "queues: {a: {environment: [small]}}", "8: queues.a.environment: unknown key; did you mean 'envi"),
        (LEAST.replace("shards", "Shards"), "3: fleet.name: 'Shards' is not allowed here; allowed: 3 to 32 small"),
        (LEAST.replace("us-east-1", "virginia"), "4: fleet.region: 'virginia' is not allowed here; allowed: a region"),
        (LEAST.replace("  region: us-east-1\n", ""), "2: fleet.region: missing"),
        (LEAST + "  ceilling: 5", "8: fleet.ceilling: unknown key; did you mean 'ceiling'?"),
        (LEAST + "  history: 1h", "8: fleet.history: '1h' is out of bounds; allowed: 1d to 3650d"),
        (with_environment("instance_types: []"), "6: fleet.environments.a.instance_types: 1 to 40 entries, not 0"),
        (with_environment("max: 3"), "6: fleet.environments.a.instance_types: missing"),
        (
            with_environment("instance_types: [m6i.lage]"),
            "6: fleet.environments.a.instance_types[0]: unknown instance type 'm6i.lage'; did you mean 'm6i.large'?",
        ),
        (
            with_environment("instance_types: [z9.huge]", "  instance_types: {z9.huge: {vcpus: 2}}\n"),
            "6: fleet.environments.a.instance_types[0]: unknown instance type 'z9.huge'; allowed:",
        ),
        (
            with_environment(
                "instance_types: [z9.huge]",
                "  instance_types: {z9.huge: {vcpus: 2, memory: 4GiB}}\n  ceiling: 5\n",
            ),
            "6: fleet.environments.a.instance_types[0]: no price is known for z9.huge, and there is a ceiling",
        ),
        (
            with_environment("instance_types: [m6i.large, m6g.large]"),
            "6: fleet.environments.a.instance_types: types with Arm and with x86 processors cannot share an image",
        ),
        (
            with_environment("instance_types: [m6i.large], min: 5, max: 4"),
            "6: fleet.environments.a.min: must not be more than max: 5 and 4",
        ),
        (
            with_environment("instance_types: [m6i.large], market: sport"),
            "6: fleet.environments.a.market: unknown value 'sport'; did you mean 'spot'?",
        ),
        (
            with_environment("instance_types: [m6i.large], spot_percent: 50"),
            "6: fleet.environments.a.spot_percent: is for market: mixed, and the market is spot",
        ),
        (
            with_environment("instance_types: [m6i.large], market: mixed"),
            "6: fleet.environments.a.market: mixed needs on_demand_base or spot_percent",
        ),
        (
            with_environment("instance_types: [m6i.large]").replace("    a:", "    a/b:"),
            "6: fleet.environments.a/b: 'a/b' is not allowed here; allowed: letters, digits",
        ),
    ],
)  # fmt: skip
def test_a_bad_fleet_is_refused_by_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text).startswith(f"runner.yaml:{message}")


def test_a_queue_whose_name_sqs_would_not_take_is_refused(tmp_path: Path) -> None:
    queue = "q" * 64
    fleet = LEAST.replace("shards", "a-name-of-some-length")
    told = refused(tmp_path, fleet + f"queues: {{{queue}: {{environments: [small]}}}}\n")
    assert told.startswith(f"runner.yaml:8: queues.{queue}: makes an SQS queue of 90 characters")
    assert f"a-name-of-some-length-{queue}-2x8" in told


def test_the_largest_machines_make_queues_with_names_that_sqs_takes(tmp_path: Path) -> None:
    more = "  instance_types: {z9.huge: {vcpus: 2048, memory: 64TiB}}\n"
    settings = load(tmp_path, with_environment("instance_types: [z9.huge]", more))
    assert settings.fleet is not None
    assert [settings.fleet.queue_name(each) for each in Routes.of(settings).channels] == [
        "shards-default-2048x65536"
    ]


def test_the_dead_letters_name_is_no_queues(tmp_path: Path) -> None:
    told = refused(tmp_path, LEAST + "queues: {dead-letters: {environments: [small]}}\n")
    assert told.startswith(
        "runner.yaml:8: queues.dead-letters: is kept for the dead letters, shards-dead-letters"
    )


def test_queues_whose_names_differ_by_a_class_are_two_all_the_same(tmp_path: Path) -> None:
    text = LEAST + "queues: {a: {environments: [small]}, a-2x8: {environments: [small]}}\n"
    assert list(fleet_of(tmp_path, text).queues) == ["a", "a-2x8"]


def problems(tmp_path: Path, **channels: list[str]) -> list[tuple[str, str]]:
    """Of a fleet with these channels by queue: each queue with its problem."""
    found = name_problems(fleet_of(tmp_path, LEAST), channels)
    return [(str(loc[-1]), problem) for loc, problem in found]


def test_channels_that_are_one_name_to_sqs_are_refused(tmp_path: Path) -> None:
    ((queue, problem),) = problems(tmp_path, a=["a.b-c", "a.d"], b=["a-b.c"])
    assert queue == "b"
    assert problem == "makes an SQS queue shards-a-b-c, which is one of queue 'a'; choose another name"


def test_channels_of_one_queue_that_are_one_name_to_sqs_are_refused(tmp_path: Path) -> None:
    ((queue, problem),) = problems(tmp_path, a=["a.b.c", "a.b-c"])
    assert (queue, "shards-a-b-c" in problem) == ("a", True)


def test_a_channel_that_would_be_the_dead_letters_to_sqs_is_refused(tmp_path: Path) -> None:
    ((queue, problem),) = problems(tmp_path, dead=["dead.letters"])
    assert queue == "dead"
    assert "shards-dead-letters, which is that of the dead letters" in problem


def test_channels_with_names_of_their_own_are_taken(tmp_path: Path) -> None:
    assert problems(tmp_path, a=["a.2x8", "a.2x8.od"], b=["b.2x8"]) == []


def test_prices_and_sizes_are_those_of_the_list() -> None:
    # From AWS's list of that day.
    assert PRICED_ON == "2026-07-20"
    for name, vcpus, gib, price in (
        ("m5.large", 2, 8, 0.096),
        ("c5.9xlarge", 36, 72, 1.53),
        ("c6g.medium", 1, 2, 0.034),
        ("r6i.4xlarge", 16, 128, 1.008),
        ("t3.medium", 2, 4, 0.0416),
        ("t4g.2xlarge", 8, 32, 0.2688),
        ("m7a.48xlarge", 192, 768, 11.12832),
    ):
        kind = KNOWN[name]
        assert (kind.vcpus, kind.memory, kind.price) == (vcpus, gib * GIB, price)


def test_only_graviton_types_are_arm() -> None:
    assert {name.partition(".")[0] for name, kind in KNOWN.items() if kind.arm} == {
        family
        for family in {name.partition(".")[0] for name in KNOWN}
        if re.fullmatch(r"[a-z]+\d+gd?", family)
    }


def test_the_page_says_when_the_prices_were_true() -> None:
    assert PRICED_ON in (ROOT / "docs" / "settings.md").read_text()


def test_what_only_deploying_needs_has_defaults(tmp_path: Path) -> None:
    assert fleet_of(tmp_path, LEAST).deployment == Deployment()


def test_the_controllers_instance_type_is_known_or_refused(tmp_path: Path) -> None:
    told = refused(tmp_path, LEAST + "  deployment: {controller: t4g.smal}\n")
    assert "runner.yaml:8: fleet.deployment.controller: unknown instance type" in told


@pytest.mark.parametrize(
    "line",
    [
        "subnets: [subnet-1;reboot]",
        "image: ../../x",
        "image_arm: 'ami-0 && x'",
        "pull: ['a b']",
        "alarm_topic: arn:aws:s3:::x",
    ],
)
def test_what_could_lead_out_of_a_script_or_a_template_is_refused(tmp_path: Path, line: str) -> None:
    assert "is not allowed here" in refused(tmp_path, LEAST + f"  deployment: {{{line}}}\n")
