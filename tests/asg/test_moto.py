"""The same requests as real clients make them, against moto: that names and shapes of parameters and replies are right.

Emulated by moto: the groups and their instances. It knows no lifecycle hooks and no scaling activities.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from controller.adapters.asg import AsgFleet
from runner.adapters.boto import BotoAws
from runner.adapters.ec2.group import OwnGroup, Shape
from runner.adapters.ec2.retirement import retire
from runner.adapters.ec2.tenure import Tenure
from runner.errors import Unavailable
from tests.asg.test_fleet import settings

REGION = "us-east-1"


@pytest.fixture
async def aws() -> AsyncIterator[BotoAws]:
    with mock_aws():
        made = BotoAws(REGION)
        yield made
        await made.close()


def make_group(environment: str, **sizes: int) -> Any:
    """A client for looking at it."""
    ec2 = boto3.client("ec2", REGION)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName=f"f-{environment}", LaunchTemplateData=data)
    groups = boto3.client("autoscaling", REGION)
    groups.create_auto_scaling_group(
        AutoScalingGroupName=f"f-{environment}",
        LaunchTemplate={"LaunchTemplateName": f"f-{environment}", "Version": "$Latest"},
        AvailabilityZones=[f"{REGION}a"],
        NewInstancesProtectedFromScaleIn=True,
        **{"MinSize": 0, "MaxSize": 5, "DesiredCapacity": 0, **sizes},
    )
    return groups


async def test_a_fleet_grows_and_counts(aws: BotoAws) -> None:
    make_group("a")
    fleet = AsgFleet(aws, settings("a"))
    await fleet.resize("a", 3)
    found = (await fleet.capacity())["a"]
    assert (found.desired, found.running, found.maximum, found.trouble) == (3, 3, 5, None)


async def test_a_replaced_instance_is_gone_and_another_comes(aws: BotoAws) -> None:
    make_group("a", DesiredCapacity=2)
    fleet = AsgFleet(aws, settings("a"))
    before = {each.id for each in (await fleet.capacity())["a"].instances}
    gone = min(before)
    await fleet.replace("a", gone)
    after = {each.id for each in (await fleet.capacity())["a"].instances}
    assert gone not in after
    assert len(after) == 2


async def test_a_fleet_without_its_group_says_so(aws: BotoAws) -> None:
    with pytest.raises(Unavailable, match="there is no Auto Scaling group f-a in us-east-1"):
        await AsgFleet(aws, settings("a")).capacity()


async def test_an_instance_leaves_its_group_with_one_decrement(aws: BotoAws) -> None:
    groups = make_group("a", DesiredCapacity=2)
    described = groups.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    instance = described["Instances"][0]["InstanceId"]
    assert await retire(OwnGroup(aws, instance))
    described = groups.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert described["DesiredCapacity"] == 1
    assert instance not in [each["InstanceId"] for each in described["Instances"]]


async def test_an_instance_knows_its_group_and_is_protected_in_it(aws: BotoAws) -> None:
    groups = make_group("a", DesiredCapacity=1, MinSize=1)
    instance = groups.describe_auto_scaling_instances()["AutoScalingInstances"][0]["InstanceId"]
    group = OwnGroup(aws, instance)
    await group.protect("f-a", False)
    await Tenure(group).keep(busy=True, ending=False)
    membership = await group.membership()
    assert membership is not None
    assert (membership.group, membership.state, membership.protected) == ("f-a", "InService", True)
    assert await group.shape("f-a") == Shape(desired=1, minimum=1, in_service=1, unprotected=[])


async def test_one_that_is_unhealthy_may_be_reported(aws: BotoAws) -> None:
    groups = make_group("a", DesiredCapacity=1)
    instance = groups.describe_auto_scaling_instances()["AutoScalingInstances"][0]["InstanceId"]
    await OwnGroup(aws, instance).report_unhealthy()
    (left,) = groups.describe_auto_scaling_instances()["AutoScalingInstances"] or [None]
    assert left is None or left["HealthStatus"].upper() == "UNHEALTHY"


async def test_an_instance_of_no_group_is_none(aws: BotoAws) -> None:
    make_group("a")
    assert await OwnGroup(aws, "i-00000000").membership() is None
