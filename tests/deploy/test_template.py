"""The CloudFormation templates: what they must say, whatever else changes. cfn-lint reads them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.deployment.fleet_template import fleet_template
from controller.deployment.names import logical_id
from controller.deployment.rendering import rendered
from controller.deployment.storage_template import storage_template
from controller.deployment.user_data import LONGEST
from runner.errors import BadInput
from runner.routing import Routes
from runner.settings import Deployment, QueueSettings
from tests.deploy.sample import FOLDER, SITE, fleet, made, settings
from tests.fleets import environment, fleet_of

Resource = Mapping[str, Any]


def machines() -> Mapping[str, Resource]:
    resources: Mapping[str, Resource] = fleet_template(settings(), fleet(), SITE)["Resources"]
    return resources


def storage() -> Mapping[str, Resource]:
    resources: Mapping[str, Resource] = storage_template(fleet(), SITE)["Resources"]
    return resources


def of_kind(kind: str) -> Mapping[str, Any]:
    return {name: each["Properties"] for name, each in machines().items() if each["Type"] == kind}


@pytest.mark.parametrize("name", ["shards.yaml", "shards-storage.yaml"])
def test_the_sample_is_what_its_settings_make(name: str) -> None:
    assert (FOLDER / name).read_text() == made()[name], "python -m tests.deploy.sample writes it anew"


@pytest.mark.parametrize("name", ["shards.yaml", "shards-storage.yaml", "../task-role.yaml"])
def test_cfn_lint_finds_nothing(name: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), FOLDER / name], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_settings_make_the_same_text() -> None:
    assert made() == made()


def test_there_is_a_queue_for_every_channel() -> None:
    names = {each["QueueName"] for each in of_kind("AWS::SQS::Queue").values()}
    channels = {fleet().queue_name(channel) for channel in Routes.of(settings()).channels}
    assert names == channels | {"shards-dead-letters"}


def test_dead_letters_are_the_last_resort() -> None:
    queues = of_kind("AWS::SQS::Queue")
    assert "RedrivePolicy" not in queues.pop("DeadLetters")
    assert {each["RedrivePolicy"]["maxReceiveCount"] for each in queues.values()} == {1000}


def test_queues_are_encrypted_and_keep_messages_as_long_as_can_be() -> None:
    queues = of_kind("AWS::SQS::Queue").values()
    assert all(each["SqsManagedSseEnabled"] is True for each in queues)
    assert {each["MessageRetentionPeriod"] for each in queues} == {14 * 86400}


def test_machines_give_their_metadata_to_nobody_behind_them() -> None:
    for each in of_kind("AWS::EC2::LaunchTemplate").values():
        options = each["LaunchTemplateData"]["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_disks_are_encrypted_and_as_large_as_asked_for() -> None:
    sizes = {}
    for each in of_kind("AWS::EC2::LaunchTemplate").values():
        volume = each["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]
        assert volume["Encrypted"] is True
        sizes[each["LaunchTemplateName"]] = volume["VolumeSize"]
    assert (sizes["shards-spot"], sizes["shards-large"]) == (50, 200)


def test_a_disk_is_never_smaller_than_its_image() -> None:
    site = replace(SITE, images={arm: replace(image, size=100) for arm, image in SITE.images.items()})
    resources = fleet_template(settings(), fleet(), site)["Resources"]
    volume = resources["Templatespot"]["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]
    assert volume["VolumeSize"] == 100


def test_nobody_can_connect_to_a_machine() -> None:
    (group,) = of_kind("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group


def test_arm_machines_start_from_an_arm_image() -> None:
    images = {
        each["LaunchTemplateName"]: each["LaunchTemplateData"]["ImageId"]
        for each in of_kind("AWS::EC2::LaunchTemplate").values()
    }
    assert images["shards-large"] == images["shards.controller"] == SITE.images[True].id
    assert images["shards-spot"] == SITE.images[False].id


def test_a_deploy_does_not_set_back_how_many_machines_there_are() -> None:
    groups = of_kind("AWS::AutoScaling::AutoScalingGroup")
    assert not [name for name, each in groups.items() if "DesiredCapacity" in each]


def test_an_environments_market_is_its_groups() -> None:
    groups = of_kind("AWS::AutoScaling::AutoScalingGroup")
    found = {
        name: (part["OnDemandBaseCapacity"], part["OnDemandPercentageAboveBaseCapacity"])
        for name, each in groups.items()
        if "MixedInstancesPolicy" in each
        for part in [each["MixedInstancesPolicy"]["InstancesDistribution"]]
    }
    assert found == {"Groupspot": (0, 0), "Groupsteady": (0, 100), "Grouplarge": (1, 20)}


def test_busy_machines_are_not_the_groups_to_end() -> None:
    group = of_kind("AWS::AutoScaling::AutoScalingGroup")["Groupspot"]
    assert group["NewInstancesProtectedFromScaleIn"] is True
    assert group["CapacityRebalance"] is False
    (hook,) = group["LifecycleHookSpecificationList"]
    assert hook["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"


def test_there_is_always_one_controller() -> None:
    group = of_kind("AWS::AutoScaling::AutoScalingGroup")["ControllerGroup"]
    assert (group["MinSize"], group["MaxSize"]) == ("1", "1")


def test_user_data_fits() -> None:
    for each in of_kind("AWS::EC2::LaunchTemplate").values():
        assert len(each["LaunchTemplateData"]["UserData"]["Fn::Base64"].encode()) <= LONGEST


def test_alarms_tell_whom_they_should() -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    alarms = of_kind("AWS::CloudWatch::Alarm").values()
    assert all(each["AlarmActions"] == [topic] for each in alarms)


def test_silence_of_the_controller_is_an_alarm() -> None:
    assert of_kind("AWS::CloudWatch::Alarm")["AlarmController"]["TreatMissingData"] == "breaching"


def test_the_table_forgets_protects_itself_and_can_be_restored() -> None:
    table = storage()["Table"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert (table["BillingMode"], table["DeletionProtectionEnabled"]) == ("PAY_PER_REQUEST", True)


def test_the_bucket_outlives_its_stack() -> None:
    assert storage()["Bucket"]["DeletionPolicy"] == "RetainExceptOnCreate"


def test_the_bucket_is_private_and_speaks_tls_only() -> None:
    assert set(storage()["Bucket"]["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    (statement,) = storage()["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_logs_go_when_history_goes() -> None:
    rules = storage()["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert {rule["Id"]: rule.get("ExpirationInDays") for rule in rules}["old-logs"] == 91


def test_a_bucket_that_was_there_is_left_alone() -> None:
    resources = storage_template(fleet(), replace(SITE, own_bucket=False))["Resources"]
    assert not [name for name in resources if name.startswith("Bucket")]


def test_without_a_log_group_there_is_none() -> None:
    resources = storage_template(replace(fleet(), log_group=None), SITE)["Resources"]
    assert "LogGroup" not in resources


def test_protection_can_be_left_off() -> None:
    open_fleet = replace(fleet(), deployment=Deployment(protect=False))
    table = storage_template(open_fleet, SITE)["Resources"]["Table"]
    assert table["Properties"]["DeletionProtectionEnabled"] is False


def test_more_queues_than_a_stack_can_hold_are_refused_with_the_way_out() -> None:
    many = fleet_of(environment("a", "m6i.large"))
    queues = {f"q{number}": QueueSettings(0, ("a",)) for number in range(300)}
    crowded = replace(many, queues=queues)
    with pytest.raises(BadInput, match="a stack takes 500: use fewer queues"):
        fleet_template(replace(settings(), fleet=crowded), crowded, SITE)


def test_names_that_only_differ_in_signs_stay_different() -> None:
    assert len({logical_id("Queue", name) for name in ("a.b", "a-b", "a_b", "ab")}) == 4


def test_a_script_is_rendered_line_by_line() -> None:
    assert rendered({"a": "#!/bin/bash\nset -e\n"}) == "a: |\n  #!/bin/bash\n  set -e\n"
