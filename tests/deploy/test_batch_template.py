"""What the templates say of AWS Batch. cfn-lint reads them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.deployment.compute_environments import parts
from controller.deployment.fleet_template import fleet_template
from controller.deployment.installing import templates
from controller.deployment.storage_template import storage_template
from runner.batch_settings import LOG_GROUP, BatchQueue, BatchSettings, job_queues
from runner.emr_settings import EmrSettings
from runner.errors import BadInput
from runner.settings import FleetSettings, QueueSettings, Settings
from tests.deploy import sample
from tests.deploy.sample import BATCH_FOLDER, SITE, made
from tests.fleets import environment, fleet_of, on_demand

ENVIRONMENT, QUEUE = "AWS::Batch::ComputeEnvironment", "AWS::Batch::JobQueue"
ON_AWS_BATCH = sample.batch_settings()

SPOT = environment("spot", "m6i.large", "m6i.xlarge", minimum=2, maximum=5)
STEADY = on_demand("steady", "m6i.large")
ARM = environment("arm", "m6g.large")


def settings_of(
    fleet: FleetSettings, mode: str = "batch", batch: BatchSettings | None = None, **queues: BatchQueue
) -> Settings:
    known = {**job_queues(fleet.name, fleet.queues), **queues}
    given = batch or BatchSettings(fleet.name, fleet.region, known, deployed=True)
    return Settings(mode=mode, fleet=fleet, batch=given)


def template(settings: Settings = ON_AWS_BATCH) -> Mapping[str, Any]:
    assert settings.fleet is not None
    return fleet_template(settings, settings.fleet, SITE)


def of_kind(kind: str, settings: Settings = ON_AWS_BATCH) -> Mapping[str, Any]:
    resources = template(settings)["Resources"]
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def order(queue: Mapping[str, Any]) -> Sequence[str]:
    return [each["ComputeEnvironment"]["Ref"] for each in queue["ComputeEnvironmentOrder"]]


def refused(fleet: FleetSettings, **queues: BatchQueue) -> str:
    with pytest.raises(BadInput) as error:
        template(settings_of(fleet, **queues))
    return str(error.value)


def test_but_for_the_mode_a_fleets_settings_are_those_of_one_on_aws_batch() -> None:
    assert (BATCH_FOLDER / "runner.yaml").read_text() == (sample.FOLDER / "runner.yaml").read_text().replace(
        "mode: fleet", "mode: batch"
    )


@pytest.mark.parametrize("name", ["shards.yaml", "shards-storage.yaml"])
def test_the_sample_is_what_its_settings_make(name: str) -> None:
    text = made(BATCH_FOLDER)[name]
    assert (BATCH_FOLDER / name).read_text() == text, "python -m tests.deploy.sample writes it anew"


def assert_lint_finds_nothing(*files: Path) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_finds_nothing() -> None:
    assert_lint_finds_nothing(BATCH_FOLDER / "shards.yaml", BATCH_FOLDER / "shards-storage.yaml")


def test_nor_does_it_where_everything_is_used_at_once(tmp_path: Path) -> None:
    fleet = fleet_of(SPOT, STEADY, log_group="/f/tasks")
    batch = BatchSettings(
        "f", fleet.region, {"default": BatchQueue("f-default", fair=True)}, log_group="/f/batch"
    )
    settings = replace(
        settings_of(fleet, "fleet", batch), emr=EmrSettings("f", fleet.region, log_uri="s3://logs/emr/")
    )
    for name, text in templates(settings, fleet, SITE).items():
        (tmp_path / f"{name}.yaml").write_text(text)
    assert_lint_finds_nothing(tmp_path / "f.yaml", tmp_path / "f-storage.yaml")


def test_there_is_nothing_that_agents_would_need() -> None:
    kinds = {each["Type"] for each in template()["Resources"].values()}
    assert "AWS::SQS::Queue" not in kinds
    assert set(of_kind("AWS::AutoScaling::AutoScalingGroup")) == {"ControllerGroup"}
    assert "AgentRole" not in template()["Outputs"]


def test_in_mode_fleet_a_section_batch_adds_to_what_there_is() -> None:
    fleet = fleet_of(SPOT)
    alone = fleet_template(replace(settings_of(fleet, "fleet"), batch=None), fleet, SITE)["Resources"]
    both = template(settings_of(fleet, "fleet"))["Resources"]
    assert alone.keys() < both.keys()
    assert {each["Type"] for name, each in both.items() if name not in alone} == {
        "AWS::IAM::Role",
        "AWS::IAM::InstanceProfile",
        "AWS::EC2::LaunchTemplate",
        ENVIRONMENT,
        QUEUE,
    }


def test_an_environment_has_the_market_and_the_bounds_of_its_machines() -> None:
    (made,) = of_kind(ENVIRONMENT, settings_of(fleet_of(SPOT))).values()
    resources = made["ComputeResources"]
    assert (resources["Type"], resources["AllocationStrategy"]) == ("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED")
    # At least two of the smallest type, at most five of the largest.
    assert (resources["MinvCpus"], resources["MaxvCpus"]) == (2 * 2, 5 * 4)
    assert resources["InstanceTypes"] == ["m6i.large", "m6i.xlarge"]


def test_machines_on_demand_are_chosen_by_price() -> None:
    (made,) = of_kind(ENVIRONMENT, settings_of(fleet_of(STEADY))).values()
    resources = made["ComputeResources"]
    assert (resources["Type"], resources["AllocationStrategy"]) == ("EC2", "BEST_FIT_PROGRESSIVE")


@pytest.mark.parametrize(
    ("least", "most", "base", "percent", "expected"),
    [
        (0, 4, 1, 80, [(False, 0, 2), (True, 0, 2)]),  # one, a fifth of three, rounded up
        (3, 10, 2, 100, [(False, 2, 2), (True, 1, 8)]),
        (1, 10, 0, 50, [(False, 1, 5), (True, 0, 5)]),
        (0, 5, 9, 100, [(False, 0, 5)]),
        (0, 5, 0, 100, [(True, 0, 5)]),
    ],
)
def test_a_mixed_environment_becomes_two_of_which_the_one_on_demand_is_filled_first(
    least: int, most: int, base: int, percent: int, expected: list[tuple[bool, int, int]]
) -> None:
    mixed = environment(
        "m",
        "m6i.large",
        market="mixed",
        minimum=least,
        maximum=most,
        on_demand_base=base,
        spot_percent=percent,
    )
    found = parts(fleet_of(mixed), mixed)
    assert [(each.spot, each.least, each.most) for each in found] == expected


def test_the_two_of_a_mixed_one_are_named_as_no_other_environment_can_be() -> None:
    assert {each["ComputeEnvironmentName"] for each in of_kind(ENVIRONMENT).values()} == {
        "shards-spot",
        "shards-steady",
        "shards--steady-large",
        "shards-large",
    }


def test_what_can_be_changed_in_place_is() -> None:
    for each in of_kind(ENVIRONMENT).values():
        assert each["ReplaceComputeEnvironment"] is False
        assert each["UpdatePolicy"]["TerminateJobsOnUpdate"] is False
        # With either of these AWS Batch could change no more than sizes, or would set them back.
        assert "ServiceRole" not in each
        assert "DesiredvCpus" not in each["ComputeResources"]


def test_a_new_version_of_the_program_changes_no_compute_environment() -> None:
    fleet = fleet_of(SPOT)
    settings = settings_of(fleet)
    first, second = (
        fleet_template(settings, fleet, replace(SITE, bundle=bundle))["Resources"]
        for bundle in ("deploy/1", "deploy/2")
    )
    assert {name for name, each in first.items() if each != second[name]} == {"ControllerTemplate"}


def test_instances_have_an_encrypted_disk_of_the_configured_size_where_their_image_has_its_root() -> None:
    template = of_kind("AWS::EC2::LaunchTemplate")["BatchTemplatelarge"]["LaunchTemplateData"]
    (mapping,) = template["BlockDeviceMappings"]
    assert mapping["DeviceName"] == "/dev/xvda"
    assert (mapping["Ebs"]["VolumeSize"], mapping["Ebs"]["Encrypted"]) == (200, True)


def test_a_disk_is_never_smaller_than_the_image_for_amazon_ecs() -> None:
    small = settings_of(fleet_of(replace(SPOT, disk=8 * 1024**3)))
    template = of_kind("AWS::EC2::LaunchTemplate", small)["BatchTemplatespot"]["LaunchTemplateData"]
    assert template["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 30


def test_instances_give_their_metadata_by_version_2_only() -> None:
    template = of_kind("AWS::EC2::LaunchTemplate")["BatchTemplatespot"]["LaunchTemplateData"]
    options = template["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_security_groups_are_said_once() -> None:
    """AWS Batch refuses an environment that names some beside those of its launch template's network interface."""
    for name, each in of_kind(ENVIRONMENT).items():
        assert "SecurityGroupIds" not in each["ComputeResources"], name
    data = of_kind("AWS::EC2::LaunchTemplate")["BatchTemplatespot"]["LaunchTemplateData"]
    assert data["NetworkInterfaces"][0]["Groups"] == [{"Fn::GetAtt": ["NoWayIn", "GroupId"]}]


def test_instances_are_tagged_as_the_fleets_for_the_bill() -> None:
    tags = of_kind(ENVIRONMENT)["Computespot"]["ComputeResources"]["Tags"]
    assert tags == {"runner-fleet": "shards", "Name": "shards-spot"}


def test_a_queues_environments_are_in_its_order() -> None:
    fleet = fleet_of(SPOT, STEADY, queues={"a": ["spot", "steady"], "b": ["steady", "spot"]})
    queues = of_kind(QUEUE, settings_of(fleet))
    assert order(queues["JobQueuea"]) == ["Computespot", "Computesteady"]
    assert order(queues["JobQueueb"]) == ["Computesteady", "Computespot"]
    assert queues["JobQueuea"]["JobQueueName"] == "f-a"


def test_a_queue_keeps_its_priority() -> None:
    assert {each["JobQueueName"]: each["Priority"] for each in of_kind(QUEUE).values()} == {
        "shards-default": 0,
        "shards-big": 5,
    }


def test_of_priorities_that_aws_batch_does_not_take_the_order_stays() -> None:
    given = {"low": -7, "middle": 0, "high": 1000, "other": 0}
    queues = {name: QueueSettings(priority, ("spot",)) for name, priority in given.items()}
    fleet = replace(fleet_of(SPOT), queues=queues)
    found = {each["JobQueueName"]: each["Priority"] for each in of_kind(QUEUE, settings_of(fleet)).values()}
    assert found == {"f-low": 0, "f-middle": 1, "f-other": 1, "f-high": 2}


def test_a_queue_of_more_environments_than_it_can_have_is_refused_with_its_key() -> None:
    mixed = environment("m", "m6i.large", market="mixed", on_demand_base=1)
    told = refused(fleet_of(SPOT, STEADY, mixed))
    assert "queues.default.environments: make 4 compute environments" in told
    assert "f--steady-m" in told


def test_a_queue_of_both_kinds_of_processors_is_refused_with_its_key() -> None:
    told = refused(fleet_of(SPOT, ARM))
    assert "queues.default.environments: are of x86 and of Arm processors" in told


def test_a_queue_of_the_users_own_is_not_made_nor_are_environments_that_serve_no_other() -> None:
    fleet = fleet_of(SPOT, STEADY, queues={"a": ["spot"], "b": ["steady"]})
    settings = settings_of(fleet, b=BatchQueue("theirs"))
    assert list(of_kind(QUEUE, settings)) == ["JobQueuea"]
    assert list(of_kind(ENVIRONMENT, settings)) == ["Computespot"]


def test_where_all_queues_are_the_users_own_there_are_no_instances() -> None:
    settings = settings_of(fleet_of(SPOT), default=BatchQueue("theirs"))
    assert of_kind(ENVIRONMENT, settings) == {}
    assert "BatchInstanceRole" not in template(settings)["Resources"]


def test_fargate_is_for_queues_of_the_users_own() -> None:
    told = refused(fleet_of(SPOT), default=BatchQueue("f-default", fargate=True))
    assert "batch.queues.default.fargate: is for a job queue of yours" in told


def test_a_fair_queue_has_a_policy_of_equal_shares() -> None:
    settings = settings_of(fleet_of(SPOT), default=BatchQueue("f-default", fair=True))
    assert of_kind(QUEUE, settings)["JobQueuedefault"]["SchedulingPolicyArn"] == {"Ref": "Sharesdefault"}
    (policy,) = of_kind("AWS::Batch::SchedulingPolicy", settings).values()
    assert "ShareDistribution" not in policy["FairsharePolicy"]


def test_the_execution_role_has_the_name_by_which_jobs_know_it() -> None:
    role = of_kind("AWS::IAM::Role")["BatchExecutionRole"]
    assert role["RoleName"] == "shards-batch-execution"
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}


def test_an_execution_role_of_the_users_own_is_not_made() -> None:
    fleet = fleet_of(SPOT)
    role = "arn:aws:iam::123456789012:role/ours"
    batch = BatchSettings("f", fleet.region, job_queues("f", fleet.queues), execution_role=role)
    assert "BatchExecutionRole" not in template(settings_of(fleet, batch=batch))["Resources"]


def storage(batch: BatchSettings | None, **changes: Any) -> Mapping[str, Any]:
    fleet = replace(sample.fleet(), **changes)
    resources = storage_template(fleet, SITE, batch)["Resources"]
    return {name: each["Properties"] for name, each in resources.items()}


def test_what_aws_batch_logs_is_kept_as_long_as_history_for_nothing_else_has_it() -> None:
    batch = BatchSettings("shards", "us-east-1", log_group="/shards/tasks")
    assert storage(None)["LogGroup"]["RetentionInDays"] == 30
    assert storage(batch)["LogGroup"]["RetentionInDays"] == 90
    assert "RetentionInDays" not in storage(batch, history=None)["LogGroup"]


def test_a_log_group_of_aws_batch_alone_is_made_too() -> None:
    batch = BatchSettings("shards", "us-east-1", log_group="/shards/batch")
    assert storage(batch)["BatchLogGroup"]["LogGroupName"] == "/shards/batch"
    assert storage(batch)["LogGroup"]["RetentionInDays"] == 30


def test_aws_batchs_own_log_group_is_everybodys_and_not_made() -> None:
    made = storage(BatchSettings("shards", "us-east-1", log_group=LOG_GROUP), log_group=None)
    assert [name for name in made if "LogGroup" in name] == []
