"""Launch templates and Auto Scaling groups: one of each per compute environment, and one for the controller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.deployment import roles, user_data
from controller.deployment.launch_templates import NETWORK, launch_template, version
from controller.deployment.names import controller_group, logical_id, tags
from controller.deployment.site import Site
from runner.settings import Environment, FleetSettings, Settings

GIB = 1024**3

CONTROLLER_DISK = 8 * GIB

HOOK = "drain"
# An instance that the group ends may finish what it holds for so long without a sign of life, in seconds.
HOOK_TIMEOUT = 300


def machines(settings: Settings, fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    made: dict[str, Any] = {NETWORK: _security_group(fleet, site)}
    for name, environment in (fleet.environments if settings.machines else {}).items():
        template = logical_id("Template", name)
        data = user_data.agent_data(settings, fleet, site, name)
        made[template] = _template(fleet, site, fleet.group(name), environment, data)
        made[logical_id("Group", name)] = _group(fleet, site, environment, template)
    return {**made, **_controller(fleet, site)}


def _security_group(fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": f"Machines of the fleet {fleet.name}: out, and nothing in",
            "VpcId": site.vpc,
            "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "anywhere"}],
            "Tags": tags(fleet),
        },
    }


def _template(
    fleet: FleetSettings, site: Site, name: str, environment: Environment, data: str
) -> Mapping[str, Any]:
    arm = environment.instance_types[0].arm
    return _machine_template(fleet, site, name, roles.AGENT, arm=arm, disk=environment.disk, data=data)


def _machine_template(
    fleet: FleetSettings, site: Site, name: str, role: str, *, arm: bool, disk: int, data: str
) -> Mapping[str, Any]:
    image = site.images[arm]
    size = max(image.size, math.ceil(disk / GIB))
    content = {
        "ImageId": image.id,
        "IamInstanceProfile": roles.profile(role),
        "UserData": {"Fn::Base64": data},
    }
    return launch_template(fleet, name, name, image.root_device, size, content)


def _group(fleet: FleetSettings, site: Site, environment: Environment, template: str) -> Mapping[str, Any]:
    hook = {
        "LifecycleHookName": HOOK,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": HOOK_TIMEOUT,
        "DefaultResult": "CONTINUE",
    }
    distribution = {
        "OnDemandBaseCapacity": environment.on_demand_base,
        "OnDemandPercentageAboveBaseCapacity": 100 - environment.spot_percent,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    return {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "Properties": {
            "AutoScalingGroupName": fleet.group(environment.name),
            # No DesiredCapacity: that is the controller's, and a deploy must not set it back.
            "MinSize": str(environment.minimum),
            "MaxSize": str(environment.maximum),
            "VPCZoneIdentifier": list(site.subnets),
            "MixedInstancesPolicy": {
                "InstancesDistribution": distribution,
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": version(template),
                    "Overrides": [{"InstanceType": kind.name} for kind in environment.instance_types],
                },
            },
            "NewInstancesProtectedFromScaleIn": True,
            "CapacityRebalance": False,  # the agent acts on rebalance recommendations, task by task
            "LifecycleHookSpecificationList": [hook],
            "HealthCheckType": "EC2",
            "HealthCheckGracePeriod": round(fleet.boot),
            "Tags": _group_tags(fleet, fleet.group(environment.name)),
        },
    }


def _controller(fleet: FleetSettings, site: Site) -> Mapping[str, Any]:
    kind, name = fleet.deployment.controller, controller_group(fleet)
    data = user_data.controller_data(fleet, site)
    template = _machine_template(
        fleet, site, name, roles.CONTROLLER, arm=kind.arm, disk=CONTROLLER_DISK, data=data
    )
    template["Properties"]["LaunchTemplateData"]["InstanceType"] = kind.name
    group = {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        # A new version replaces the old one. The agents go on meanwhile.
        "UpdatePolicy": {"AutoScalingRollingUpdate": {"MinInstancesInService": 0, "MaxBatchSize": 1}},
        "Properties": {
            "AutoScalingGroupName": name,
            "MinSize": "1",
            "MaxSize": "1",
            "VPCZoneIdentifier": list(site.subnets),
            "LaunchTemplate": version("ControllerTemplate"),
            "HealthCheckType": "EC2",
            "HealthCheckGracePeriod": round(fleet.boot),
            "Tags": _group_tags(fleet, name),
        },
    }
    return {"ControllerTemplate": template, "ControllerGroup": group}


def _group_tags(fleet: FleetSettings, name: str) -> list[Mapping[str, Any]]:
    return [{**tag, "PropagateAtLaunch": True} for tag in tags(fleet, Name=name)]
